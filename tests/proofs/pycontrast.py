"""PyContrast: InfoMin on ResNets and ResNeXts, and its InstDisc, PIRL and CMC; and CMC by its authors (contrastive.md)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import torch

from proofs.negative_free import resnet
from proofs.proof import Proof, Shapes, Tensors, prefixed, under
from proofs.resnets import R50, THIN_BLOCKS, resnet_forward, resnet_shapes

_CHANNELS = (32, 48, 64, 80)
"""Few, but with at least a channel for each group of the convolutions."""


def _beside(model: Tensors) -> dict[str, Any]:
    """``model_ema``: the key encoder, which must not be taken."""
    key = {name.removeprefix("module."): tensor + 1 for name, tensor in model.items()}
    return {
        "opt": argparse.Namespace(method="InfoMin", arch="resnet50"),
        "model": model,
        "contrast": under("", "memory"),
        "optimizer": {"state": {}, "param_groups": []},
        "epoch": 800,
        "model_ema": key,
    }


def infomin(backbone: Tensors) -> dict[str, Any]:
    heads = ("head.0.weight", "head.2.bias", "head_jig.fc1.0.weight", "head_jig.fc2.bias")
    return _beside({**prefixed("module.encoder.", backbone), **under("module.", *heads)})


def _resnet(model: str, blocks: Sequence[int], groups: int = 1, width: int = 64) -> Proof:
    return Proof(
        model=model,
        thin={"layers": list(THIN_BLOCKS), "channels": list(_CHANNELS)},
        shapes=resnet_shapes(THIN_BLOCKS, _CHANNELS, groups=groups, group_width=width),
        full=resnet_shapes(blocks, groups=groups, group_width=width),
        file=infomin,
        forward=resnet_forward,
        image=(3, 64, 64),
    )


def two_shapes(first: str, second: str, blocks: Sequence[int], widths: Sequence[int]) -> Shapes:
    """One channel and two; the stem has 64 channels at any width."""
    one, two = (resnet_shapes(blocks, widths, stem=64, channels_in=count) for count in (1, 2))
    return {**{f"{first}.{n}": s for n, s in one.items()}, **{f"{second}.{n}": s for n, s in two.items()}}


def two_forward(first: str, second: str) -> Any:
    def forward(t: Tensors, images: torch.Tensor) -> torch.Tensor:
        one, two = ({n.removeprefix(f"{at}."): x for n, x in t.items() if n.startswith(at)} for at in (first, second))
        return torch.cat([resnet_forward(one, images[:, :1]), resnet_forward(two, images[:, 1:3])], dim=1)

    return forward


def _cmc_pycontrast(backbone: Tensors) -> dict[str, Any]:
    return _beside({**prefixed("module.", backbone), **under("module.", "head1.0.weight", "head2.0.bias")})


def _cmc(backbone: Tensors) -> dict[str, Any]:
    heads = under("encoder.module.", "l_to_ab.fc.weight", "l_to_ab.fc.bias", "ab_to_l.fc.weight", "ab_to_l.fc.bias")
    return {
        "opt": argparse.Namespace(model="resnet50v1", view="Lab"),
        "model": {**prefixed("encoder.module.", backbone), **heads},
        "contrast": under("", "memory_l", "memory_ab", "params"),
        "optimizer": {"state": {}, "param_groups": []},
        "epoch": 240,
        "amp": {"loss_scaler0": {"loss_scale": 65536.0, "unskipped": 3}},
    }


def _two(model: str, names: tuple[str, str], widths: Sequence[int], file: Any, form: str = "") -> Proof:
    return Proof(
        model=model,
        form=form,
        thin={"layers": list(THIN_BLOCKS), "channels": [8, 16, 24, 32]},
        shapes=two_shapes(*names, THIN_BLOCKS, (8, 16, 24, 32)),
        full=two_shapes(*names, R50, widths),
        file=file,
        forward=two_forward(*names),
        image=(3, 64, 64),
    )


_AUTHORS = ("l_to_ab", "ab_to_l")
_HALF = (32, 64, 128, 256)

PROOFS = [
    *(resnet(model, infomin) for model in ("infomin_resnet50", "infomin_resnet50_200ep")),
    *(resnet(f"{method}_resnet50_pycontrast", infomin) for method in ("instdisc", "pirl")),
    _resnet("infomin_resnet101", (3, 4, 23, 3)),
    _resnet("infomin_resnet152", (3, 8, 36, 3)),
    _resnet("infomin_resnext101_32x4d", (3, 4, 23, 3), 32, 4),
    _resnet("infomin_resnext101_32x8d", (3, 4, 23, 3), 32, 8),
    _resnet("infomin_resnext101_64x4d", (3, 4, 23, 3), 64, 4),
    _resnet("infomin_resnext152_32x4d", (3, 8, 36, 3), 32, 4),
    _resnet("infomin_resnext152_32x8d", (3, 8, 36, 3), 32, 8),
    _two("cmc_resnet50", _AUTHORS, _HALF, _cmc),
    _two("cmc_resnet50", _AUTHORS, _HALF, lambda t: {"model": prefixed("module.", _cmc(t)["model"])}, "wrapped"),
    _two("cmc_resnet50_v2", _AUTHORS, (64, 128, 256, 512), _cmc),
    _two("cmc_resnet50_v3", _AUTHORS, (128, 256, 512, 1024), _cmc),
    _two("cmc_resnet50_pycontrast", ("encoder1", "encoder2"), _HALF, _cmc_pycontrast),
]
