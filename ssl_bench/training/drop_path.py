"""Stochastic depth of a network that is trained (Huang et al. 2016)."""

from __future__ import annotations

from timm.layers.drop import DropPath
from torch import nn

NAMES = ("drop_path", "drop_path1", "drop_path2")


def set_drop_path(module: nn.Module, rate: float) -> int:
    """Branches of block i of L, counted from 0, are left out with probability rate x i / (L - 1), in every residual block
    that has a place for it (timm's ViTs, BEiTs, Swins, ConvNeXts). Returns how many there are; 0: a ResNet."""
    blocks = [block for block in module.modules() if set(NAMES) & set(block._modules)]
    for i, block in enumerate(blocks):
        value = rate * i / max(len(blocks) - 1, 1)
        for name in set(NAMES) & set(block._modules):
            setattr(block, name, DropPath(value) if value > 0 else nn.Identity())
    return len(blocks)
