"""MAE and MaskFeat (masked.md 3, 5)."""

from __future__ import annotations

from typing import Any

from proofs import vits
from proofs.proof import Proof, Shapes, Tensors, under

_HEADS = {768: 12, 1024: 16, 1280: 16}


def _with_decoder(backbone: Tensors) -> dict[str, Any]:
    rest = under("", "mask_token", "decoder_pos_embed", "decoder_embed.weight", "decoder_blocks.0.norm1.bias")
    return {"model": {**backbone, **rest}}


def _mae(model: str, size: tuple[int, int], patch: int, form: str) -> Proof:
    dim, depth = size
    return Proof(
        model=model,
        form=form,
        thin={"depth": 1},
        shapes=vits.vit_shapes(dim, 1, patch),
        full=vits.vit_shapes(dim, depth, patch),
        file=_with_decoder if form == "decoder" else lambda t: {"model": t},
        forward=vits.cls_after_norm(_HEADS[dim]),
        wrong_heads={"num_heads": 8},
    )


def _finetuned(model: str, size: tuple[int, int], patch: int) -> Proof:
    """The norm comes after the mean of the patch tokens, under another name."""
    dim, depth = size
    heads = _HEADS[dim]

    def shapes(depth: int) -> Shapes:
        return vits.vit_shapes(dim, depth, patch, norm=False) | {"fc_norm.weight": (dim,), "fc_norm.bias": (dim,)}

    return Proof(
        model=model,
        thin={"depth": 1},
        shapes=shapes(1),
        full=shapes(depth),
        file=lambda t: {"model": {**t, **under("head.", "weight", "bias")}},
        forward=lambda t, images: vits.layer_norm(t, "fc_norm", vits.vit_tokens(t, images, heads)[:, 1:].mean(dim=1)),
        wrong_heads={"num_heads": 8},
    )


def _maskfeat_file(backbone: Tensors) -> dict[str, Any]:
    head = ("pred_head.transforms.0.0.weight", "pred_head.projections.0.bias", "hogs.0.weight_x", "hogs.0.weight_y")
    state = {**backbone, **under("", "mask_token", *head)}
    return {"epoch": 1599, "model_state": state, "optimizer_state": {"state": {}}, "cfg": "MODEL:\n  ARCH: maskmvit\n"}


def _maskfeat(model: str, size: tuple[int, int]) -> Proof:
    dim, depth = size
    heads = _HEADS[dim]
    return Proof(
        model=model,
        thin={"depth": 1},
        shapes=vits.vit_shapes(dim, 1, norm=False),
        full=vits.vit_shapes(dim, depth, norm=False),
        file=_maskfeat_file,
        forward=lambda t, images: vits.vit_tokens(t, images, heads)[:, 1:].mean(dim=1),
        wrong_heads={"num_heads": 8},
    )


_MAE = (("b16", vits.B, 16), ("l16", vits.L, 16), ("h14", vits.H, 14))

PROOFS = [
    *(_mae(f"mae_vit{name}", size, patch, "encoder") for name, size, patch in _MAE),
    _mae("mae_vitb16", vits.B, 16, "decoder"),
    *(_finetuned(f"mae_vit{name}_finetuned", size, patch) for name, size, patch in _MAE),
    _maskfeat("maskfeat_vitb16", vits.B),
    _maskfeat("maskfeat_vitl16", vits.L),
]
