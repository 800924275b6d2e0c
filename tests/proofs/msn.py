"""MSN (masked.md 11): the class token before the final norm."""

from __future__ import annotations

from typing import Any

from proofs import vits
from proofs.proof import ONE, Proof, Tensors, prefixed, under

_REST = ("fc.fc1.weight", "fc.bn1.running_mean", "fc.bn1.num_batches_tracked", "fc.fc2.bias", "fc.fc3.weight")


def file(target: Tensors) -> dict[str, Any]:
    """What msn_train.py saves: the anchor encoder, and the target encoder, both with their projector."""
    encoder = {f"module.{name}": ONE for name in target}
    rest = under("module.", *_REST)
    return {
        "encoder": {**encoder, **rest},
        "opt": {"state": {}},
        "prototypes": ONE,
        "target_encoder": {**prefixed("module.", target), **rest},
        "epoch": 800,
        "loss": 6.9,
        "batch_size": 64,
        "world_size": 16,
        "lr": 1e-6,
        "temperature": 0.1,
    }


def _msn(model: str, size: tuple[int, int], patch: int, side: int) -> Proof:
    """``side`` of the proof's images: small patches make thousands of tokens of a true one."""
    dim, depth = size
    heads = dim // 64
    return Proof(
        model=model,
        thin={"depth": 1, "img_size": side},
        shapes=vits.vit_shapes(dim, 1, patch, side),
        full=vits.vit_shapes(dim, depth, patch),
        file=file,
        forward=lambda t, images: vits.vit_tokens(t, images, heads)[:, 0],
        image=(3, side, side),
        wrong_heads={"num_heads": heads // 2},
    )


PROOFS = [
    _msn("msn_vits16", vits.S, 16, 224),
    _msn("msn_vitb16", vits.B, 16, 224),
    _msn("msn_vitb4", vits.B, 4, 64),
    _msn("msn_vitl16", vits.L, 16, 224),
    _msn("msn_vitl7", vits.L, 7, 112),
]
