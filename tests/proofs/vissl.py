"""VISSL's model zoo beside SimCLR: rotation, jigsaw, colourisation, NPID, NPID++ and PIRL (pretext.md)."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from proofs import resnets
from proofs.negative_free import resnet, wide
from proofs.proof import Proof, Tensors, prefixed, under
from proofs.resnets import resnet_forward, resnet_shapes


def trained(backbone: Tensors) -> dict[str, Any]:
    """A training run of VISSL: trunk and heads apart, deep in the file."""
    trunk = prefixed("_feature_blocks.", backbone)
    heads = under("", "0.clf.0.weight", "0.clf.0.bias", "0.clf.1.running_mean", "1.clf.0.weight", "2.clf.1.bias")
    base = {"model": {"trunk": trunk, "heads": heads}, "meters": {"train": {}}}
    return {
        "phase_idx": 104,
        "loss": {"metrics": {}},
        "classy_state_dict": {"train": True, "base_model": base, "optimizer": {"lr": 0.1}, "hooks": {}},
    }


def converted(backbone: Tensors) -> dict[str, Any]:
    """Made from another code base's file."""
    return {"model_state_dict": prefixed("_feature_blocks.", backbone)}


def lightness_forward(t: Tensors, images: torch.Tensor) -> torch.Tensor:
    """The trunk takes three channels and uses the first; layer4 has stride 1 and no dilation."""
    return resnet_forward(t, images[:, :1], last_stride=1)


def _colourisation(model: str) -> Proof:
    """Two blocks in the last stage: only from the second on would dilation tell."""
    return Proof(
        model=model,
        thin={**resnets.THIN, "layers": [1, 1, 1, 2]},
        shapes=resnet_shapes((1, 1, 1, 2), resnets.THIN_WIDTHS, channels_in=1),
        full=resnet_shapes(channels_in=1),
        file=converted,
        forward=lightness_forward,
        image=(3, 64, 64),
    )


_TRAINED = (
    *("rotation_resnet50", "jigsaw_resnet50", "jigsaw_resnet50_perm100", "jigsaw_resnet50_perm10k"),
    *("rotation_resnet50_in22k", "jigsaw_resnet50_in22k"),  # named "converted", in the same form
    *("instdisc_resnet50_vissl", "npidpp_resnet50", "pirl_resnet50", "pirl_resnet50_mlp"),
)
_CONVERTED = ("jigsaw_resnet50_goyal19", "jigsaw_resnet50_goyal19_in22k", "jigsaw_resnet50_goyal19_yfcc100m")

PROOFS = [
    *(resnet(model, trained) for model in _TRAINED),
    *(resnet(model, converted) for model in _CONVERTED),
    *(wide(model, 2, trained) for model in ("npidpp_resnet50w2", "pirl_resnet50w2", "pirl_resnet50w2_mlp")),
    *map(_colourisation, ("colorization_resnet50", "colorization_resnet50_in22k", "colorization_resnet50_yfcc100m")),
    dataclasses.replace(resnet("instdisc_resnet50_nce", converted), form="vissl"),
]
