"""Swin Transformers that timm has with other numbers only."""

from __future__ import annotations

from functools import partial
from typing import Any

import timm
from torch import nn


def swin_tiny_ibot(**changes: Any) -> nn.Module:
    """Swin-T whose LayerNorms add 1e-6 to the variance, not 1e-5 as Microsoft's and timm's (source: bytedance/ibot,
    models/swin_transformer.py). ``changes``: arguments of timm's SwinTransformer, such as ``window_size``."""
    norm = partial(nn.LayerNorm, eps=1e-6)
    module: nn.Module = timm.create_model("swin_tiny_patch4_window7_224", num_classes=0, norm_layer=norm, **changes)
    return module
