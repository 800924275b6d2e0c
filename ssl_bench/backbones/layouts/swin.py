"""Swin Transformers in Microsoft's names, whose networks merge patches at the end of a stage; timm's at the start of the next."""

from __future__ import annotations

from ssl_bench.backbones.layouts.layout import Layout

TO_TIMM = tuple((rf"^layers\.{stage}\.downsample\.", f"layers.{stage + 1}.downsample.") for stage in (2, 1, 0))
"""``rename``, after the prefix has gone: the last stage first, so that none is moved twice."""

COMPUTED = (r"\.(relative_position_index|relative_coords_table|attn_mask)$",)
"""``drop``: buffers that the network computes itself."""

LAYOUTS = {
    "simmim_swin": Layout(
        unwrap=("model",),
        drop=(*COMPUTED, r"^decoder\.", r"^encoder\.mask_token$"),
        prefixes=("encoder.",),
        rename=TO_TIMM,
    ),
}
