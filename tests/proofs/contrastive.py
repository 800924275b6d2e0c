"""MoCo v1, v2, v3 (contrastive.md)."""

from __future__ import annotations

from typing import Any

from proofs import vits
from proofs.negative_free import resnet
from proofs.proof import Proof, Tensors, prefixed, under


def _moco(backbone: Tensors) -> dict[str, Any]:
    query = prefixed("module.encoder_q.", backbone)
    key = prefixed("module.encoder_k.", {name: tensor + 1 for name, tensor in backbone.items()})
    rest = under("module.", "queue", "queue_ptr", "encoder_q.fc.0.weight", "encoder_q.fc.2.bias", "encoder_k.fc.0.bias")
    return {"epoch": 200, "arch": "resnet50", "state_dict": {**query, **key, **rest}, "optimizer": {"state": {}}}


def _mocov3(head: str) -> Any:
    def file(backbone: Tensors) -> dict[str, Any]:
        base = prefixed("module.base_encoder.", backbone)
        momentum = prefixed("module.momentum_encoder.", {name: tensor + 1 for name, tensor in backbone.items()})
        rest = under(
            "module.", f"base_encoder.{head}.0.weight", f"momentum_encoder.{head}.1.bias", "predictor.0.weight"
        )
        return {"epoch": 300, "arch": "vit_small", "state_dict": {**base, **momentum, **rest}, "scaler": {"scale": 1.0}}

    return file


def _mocov3_vit(model: str, dim: int) -> Proof:
    """12 heads in both sizes: the ViT-S of everybody else has 6."""
    return Proof(
        model=model,
        thin=vits.THIN,
        shapes=vits.vit_shapes(dim, 2),
        full=vits.vit_shapes(dim, 12),
        file=_mocov3("head"),
        forward=vits.cls_after_norm(12),
        wrong_heads={"num_heads": 6},
    )


PROOFS = [
    resnet("mocov1_resnet50", _moco),
    resnet("mocov2_resnet50", _moco),
    resnet("mocov3_resnet50", _mocov3("fc")),
    _mocov3_vit("mocov3_vits16", 384),
    _mocov3_vit("mocov3_vitb16", 768),
]
