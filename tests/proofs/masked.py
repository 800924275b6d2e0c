"""MAE (masked.md)."""

from __future__ import annotations

from typing import Any

from proofs import vits
from proofs.proof import Proof, Tensors, under


def _with_decoder(backbone: Tensors) -> dict[str, Any]:
    rest = under("", "mask_token", "decoder_pos_embed", "decoder_embed.weight", "decoder_blocks.0.norm1.bias")
    return {"model": {**backbone, **rest}}


def _mae(model: str, size: tuple[int, int], patch: int, form: str) -> Proof:
    dim, depth = size
    return Proof(
        model=model,
        form=form,
        thin=vits.THIN,
        shapes=vits.vit_shapes(dim, 2, patch),
        full=vits.vit_shapes(dim, depth, patch),
        file=_with_decoder if form == "decoder" else lambda t: {"model": t},
        forward=vits.cls_after_norm({768: 12, 1024: 16, 1280: 16}[dim]),
        wrong_heads={"num_heads": 8},
    )


PROOFS = [
    _mae(model, size, patch, form)
    for model, size, patch in (
        ("mae_vitb16", vits.B, 16),
        ("mae_vitl16", vits.L, 16),
        ("mae_vith14", vits.H, 14),
    )
    for form in ("encoder", "decoder")
]
