"""A second network that follows the trained one as an exponential moving average: BYOL's target, DINO's teacher.

Its momentum m rises from a start to 1 by ``training.schedules.cosine(step, total, start, final=1)``
(BYOL, section 3.3: m_k = 1 - (1 - m_0) (cos(pi k / K) + 1) / 2).
"""

from __future__ import annotations

import copy

import torch
from timm.layers.drop import DropPath
from torch import nn


def follower(network: nn.Module) -> nn.Module:
    """A copy that gets no gradient and no stochastic depth or dropout. It starts as an exact copy, in training mode."""
    copied = copy.deepcopy(network).requires_grad_(False)
    for module in copied.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, DropPath):
            module.drop_prob = 0.0
    return copied


@torch.no_grad()
def follow(target: nn.Module, online: nn.Module, momentum: float) -> None:
    """xi <- m xi + (1 - m) theta, for every parameter. Buffers (BatchNorm statistics) stay the target's own."""
    targets: list[torch.Tensor] = list(target.parameters())
    torch._foreach_lerp_(targets, list(online.parameters()), 1 - momentum)
