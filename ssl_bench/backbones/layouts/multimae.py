"""MultiMAE: the authors' own files of three modalities, and what is left for colour images in timm's names."""

from __future__ import annotations

from torch import nn
from torch.nn import functional as F

from ssl_bench.backbones.layouts.layout import VIT_HEADS, Layout, Tensors

_POSITIONS = "input_adapters.rgb.pos_emb"


def _flatten_positions(tensors: Tensors, module: nn.Module) -> Tensors:
    """(1, D, h, w) -> (1, 1 + h w, D): row by row, after zeros for the global token, which has no position.

    The authors put that token last, a timm ViT first; attention does not care, and the features are the same.
    """
    table = tensors.get(_POSITIONS)
    if table is None or table.dim() != 4:
        return tensors
    rest = {name: t for name, t in tensors.items() if name != _POSITIONS}
    return {**rest, "pos_embed": F.pad(table.flatten(2).transpose(1, 2), (0, 0, 1, 0))}


LAYOUTS = {
    "multimae": Layout(
        unwrap=("model",),
        # No norm after the encoder; the MAE that the authors trained to compare has one, and they leave it out as well.
        drop=(r"^input_adapters\.(depth|semseg)\.", r"^output_adapters\.", r"^norm\."),
        rename=(
            (r"^global_tokens$", "cls_token"),
            (r"^input_adapters\.rgb\.proj\.", "patch_embed.proj."),
            (r"^encoder\.", "blocks."),
        ),
        hook=_flatten_positions,
        heads=VIT_HEADS,
    ),
}
