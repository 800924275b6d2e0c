"""iBOT and AttMask: a backbone of their release, or a training run with student, teacher and heads."""

from __future__ import annotations

from dataclasses import replace

from ssl_bench.backbones.layouts.layout import VIT_HEADS, Layout
from ssl_bench.backbones.layouts.swin import COMPUTED, TO_TIMM

# One layout for ViT and Swin: no name of the one is a name of the other. The student has what replaces a masked patch.
_IBOT = Layout(
    unwrap=("state_dict", "teacher"),
    drop=(r"^(module\.)?head\.", r"^(module\.)?(backbone\.)?masked_embed$", *COMPUTED),
    prefixes=("module.backbone.", "backbone."),
    rename=TO_TIMM,
    positions="dino",
    heads=VIT_HEADS,
)

LAYOUTS = {"ibot": _IBOT, "ibot_student": replace(_IBOT, unwrap=("state_dict", "student"))}
