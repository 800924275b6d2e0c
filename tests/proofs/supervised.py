"""DeiT's and torchvision's supervised networks: a backbone and its classifier."""

from __future__ import annotations

from proofs import vits
from proofs.negative_free import resnet
from proofs.proof import Proof, Tensors, under


def _deit(model: str, size: tuple[int, int]) -> Proof:
    dim, depth = size
    return Proof(
        model=model,
        thin=vits.THIN,
        shapes=vits.vit_shapes(dim, 2),
        full=vits.vit_shapes(dim, depth),
        file=lambda t: {"model": {**t, **under("head.", "weight", "bias")}},
        forward=vits.cls_after_norm(dim // 64),
        wrong_heads={"num_heads": dim // 32},
    )


def _with_classifier(t: Tensors) -> Tensors:
    return {**t, **under("fc.", "weight", "bias")}


PROOFS = [
    _deit("supervised_vitti16", (192, 12)),
    _deit("supervised_vits16", vits.S),
    _deit("supervised_vitb16", vits.B),
    resnet("supervised_resnet50", _with_classifier),
    resnet("supervised_resnet50_v2", _with_classifier),
]
