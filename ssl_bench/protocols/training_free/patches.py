"""How large the patches of a backbone are: what its maps are brought back to pixels by."""

from __future__ import annotations

from torch import nn

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.convnet import ConvNetBackbone
from ssl_bench.backbones.hierarchical import HierarchicalBackbone

STAGES = 32
"""Pixels that one place of the last map stands for in networks with stages."""


def patch_side(backbone: Backbone) -> int:
    """Side of a ViT's patch in pixels; 32 for networks whose first convolution is no patch embedding."""
    if isinstance(backbone, (ConvNetBackbone, HierarchicalBackbone)):
        return STAGES
    first = next((module for module in backbone.modules() if isinstance(module, nn.Conv2d)), None)
    if first is None or first.kernel_size != first.stride or len(set(first.stride)) > 1:
        return STAGES
    return int(first.stride[0])
