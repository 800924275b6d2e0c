"""DINO, SimSiam, Barlow Twins, VICReg, SwAV, DeepCluster-v2, SeLa-v2 (negative_free.md)."""

from __future__ import annotations

import argparse
from typing import Any

from proofs import resnets, vits
from proofs.proof import Proof, Tensors, prefixed, under
from proofs.resnets import resnet_forward, resnet_shapes, thin_shapes, wide_shapes


def full_dino(teacher_prefix: str) -> Any:
    """What main_dino.py saves. Networks with BatchNorm are wrapped for distributed training in the teacher too."""
    outer = "module." if teacher_prefix.startswith("module.") else ""
    head = ("head.mlp.0.weight", "head.last_layer.weight_g", "head.last_layer.parametrizations.weight.original1")

    def file(teacher: Tensors) -> dict[str, Any]:
        student = {name: tensor + 1 for name, tensor in teacher.items()}
        return {
            "student": {**prefixed("module.backbone.", student), **under("module.", *head)},
            "teacher": {**prefixed(teacher_prefix, teacher), **under(outer, *head)},
            "optimizer": {"state": {0: {"step": 5}}, "param_groups": [{"lr": 1e-3}]},
            "epoch": 7,
            "args": argparse.Namespace(arch="vit_small", out_dim=65536, local_crops_scale=(0.05, 0.4)),
            "dino_loss": under("", "center"),
            "fp16_scaler": {"scale": 65536.0, "_growth_tracker": 0},
        }

    return file


def _dino_vits() -> list[Proof]:
    proofs = []
    for model, (dim, depth), patch in (
        ("dino_vits16", vits.S, 16),
        ("dino_vits8", vits.S, 8),
        ("dino_vitb16", vits.B, 16),
        ("dino_vitb8", vits.B, 8),
    ):
        for form, file in (("flat", dict), ("full", full_dino("backbone."))):
            proofs.append(
                Proof(
                    model=model,
                    form=form,
                    thin=vits.THIN,
                    shapes=vits.vit_shapes(dim, 2, patch),
                    full=vits.vit_shapes(dim, depth, patch),
                    file=file,
                    forward=vits.cls_after_norm(dim // 64),
                    wrong_heads={"num_heads": dim // 32},
                )
            )
    return proofs


def resnet(model: str, file: Any = dict, form: str = "") -> Proof:
    """A card of timm's ``resnet50``."""
    return Proof(
        model=model,
        form=form,
        thin=resnets.THIN,
        shapes=thin_shapes(),
        full=resnet_shapes(),
        file=file,
        forward=resnet_forward,
        image=(3, 64, 64),
    )


def wide(model: str, multiplier: int, file: Any = dict, form: str = "", blocks: tuple[int, ...] = resnets.R50) -> Proof:
    """A card of our ``resnet<depth>w<multiplier>``."""
    return Proof(
        model=model,
        form=form,
        thin={"width": 4, "blocks": [2, 1, 1, 1]},
        shapes=wide_shapes(multiplier, (2, 1, 1, 1), 4),
        full=wide_shapes(multiplier, blocks),
        file=file,
        forward=resnet_forward,
        image=(3, 64, 64),
    )


def _simsiam(backbone: Tensors) -> dict[str, Any]:
    rest = under("module.", "encoder.fc.0.weight", "encoder.fc.6.bias", "predictor.3.bias")
    return {"epoch": 100, "arch": "resnet50", "state_dict": {**prefixed("module.encoder.", backbone), **rest}}


def _with_projector(backbone: Tensors) -> dict[str, Any]:
    rest = under("module.", "projector.0.weight", "bn.running_mean")
    return {"epoch": 1000, "model": {**prefixed("module.backbone.", backbone), **rest}, "optimizer": {"state": {}}}


def _swav(backbone: Tensors) -> Tensors:
    rest = under("module.", "projection_head.0.weight", "projection_head.3.bias", "prototypes.weight")
    return {**prefixed("module.", backbone), **rest}


def _three_prototypes(backbone: Tensors) -> Tensors:
    return {**_swav(backbone), **under("module.", "prototypes.prototypes0.weight", "prototypes.prototypes2.weight")}


PROOFS = [
    *_dino_vits(),
    resnet("dino_resnet50", dict, "flat"),
    resnet("dino_resnet50", lambda t: prefixed("module.", t), "wrapped"),
    resnet("dino_resnet50", full_dino("module.backbone."), "full"),
    resnet("simsiam_resnet50", _simsiam),
    resnet("barlowtwins_resnet50", dict, "flat"),
    resnet("barlowtwins_resnet50", _with_projector, "full"),
    resnet("vicreg_resnet50", dict, "flat"),
    resnet("vicreg_resnet50", _with_projector, "full"),
    wide("vicreg_resnet50w2", 2),
    wide("vicreg_resnet200w2", 2, blocks=(3, 24, 36, 3)),
    resnet("swav_resnet50", _swav),
    resnet("swav_resnet50", lambda t: {"state_dict": _swav(t)}, "nested"),
    *(wide(f"swav_resnet50w{k}", k, _swav) for k in (2, 4, 5)),
    resnet("deepclusterv2_resnet50", _three_prototypes),
    resnet("selav2_resnet50", _three_prototypes),
]
