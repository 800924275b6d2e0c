"""Swin Transformers in Microsoft's names, whose networks merge patches at the end of a stage; timm's at the start of the next."""

from __future__ import annotations

from ssl_bench.backbones.layouts.layout import Layout

TO_TIMM = tuple((rf"^layers\.{stage}\.downsample\.", f"layers.{stage + 1}.downsample.") for stage in (2, 1, 0))
"""``rename``, after the prefix has gone: the last stage first, so that none is moved twice."""

COMPUTED = (r"(^|\.)(relative_position_index|relative_coords_table|attn_mask)$",)
"""``drop``: buffers that the network computes itself."""

_FUSION = (r"\.attn\.(qkv_text_i2t|qkv_i2t|proj_i2t|norm_i2t_i)\.", r"\.attn\.alpha_i2t$")
"""Attention to the text, in the last six blocks; it plays no part where there is no text."""

LAYOUTS = {
    "volta": Layout(
        unwrap=("model",), drop=(r"^(?!vit_model\.)", *COMPUTED, *_FUSION), prefixes=("vit_model.",), rename=TO_TIMM
    ),
}
