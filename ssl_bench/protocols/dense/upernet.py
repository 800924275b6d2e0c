"""UPerNet (Xiao et al. 2018) as BEiT, MAE and iBOT use it on ADE20K, and the pyramid that it takes from a ViT."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from ssl_bench.protocols.dense.heads import conv_block

SCALES = (1, 2, 3, 6)


class Rescaled(nn.ModuleList):
    """Maps of a ViT, all at the stride of its patch -> strides 4, 8, 16, 32; for patches of 16 x4, x2, x1, x0.5.

    x4: two 2 x 2 transposed convolutions with BatchNorm and GELU between, x2: one, down: max-pooling (microsoft/unilm
    beit/semantic_segmentation). A ratio that is no power of two is bilinear. Networks with stages keep their maps.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int], staged: bool) -> None:
        ratios = [1.0] * len(channels) if staged else [s / (4 * 2**i) for i, s in enumerate(strides)]
        super().__init__(_rescale(width, ratio) for width, ratio in zip(channels, ratios, strict=True))

    def forward(self, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        return [layer(m) for layer, m in zip(self, maps, strict=True)]


class UPerNet(nn.Module):
    """Four maps, from fine to coarse -> (B, classes, h, w) at the size of the finest.

    The last map is pooled to 1, 2, 3 and 6 squared, and joined with these (pyramid pooling); every other map gets the sum of
    its own 1 x 1 and of the coarser one (top-down); all are brought to the finest size and joined.
    """

    def __init__(self, channels: Sequence[int], classes: int, width: int) -> None:
        super().__init__()
        self.pools = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(scale), *conv_block(channels[-1], width, kernel=1)) for scale in SCALES
        )
        self.pooled = nn.Sequential(*conv_block(channels[-1] + len(SCALES) * width, width))
        self.lateral = nn.ModuleList(nn.Sequential(*conv_block(c, width, kernel=1)) for c in channels[:-1])
        self.smooth = nn.ModuleList(nn.Sequential(*conv_block(width, width)) for _ in channels[:-1])
        self.fused = nn.Sequential(*conv_block(len(channels) * width, width))
        self.classify = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(width, classes, 1))

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        levels = [layer(m) for layer, m in zip(self.lateral, maps[:-1], strict=True)] + [self._pool(maps[-1])]
        for i in range(len(levels) - 1, 0, -1):
            levels[i - 1] = levels[i - 1] + _to(levels[i], levels[i - 1])
        smooth = [layer(level) for layer, level in zip(self.smooth, levels[:-1], strict=True)] + [levels[-1]]
        scores: torch.Tensor = self.classify(self.fused(torch.cat([_to(level, smooth[0]) for level in smooth], dim=1)))
        return scores

    def _pool(self, last: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = self.pooled(torch.cat([last, *(_to(pool(last), last) for pool in self.pools)], dim=1))
        return pooled


def upernet_head(channels: Sequence[int], strides: Sequence[int], staged: bool, classes: int, width: int) -> nn.Module:
    return nn.Sequential(Rescaled(channels, strides, staged), UPerNet(channels, classes, width))


def _rescale(width: int, ratio: float) -> nn.Module:
    if ratio == 1:
        return nn.Identity()
    if ratio in (2, 4):
        up = [nn.ConvTranspose2d(width, width, 2, 2)]
        return nn.Sequential(
            *up, *([nn.BatchNorm2d(width), nn.GELU(), nn.ConvTranspose2d(width, width, 2, 2)] * (ratio == 4))
        )
    if ratio in (0.5, 0.25, 0.125):
        return nn.MaxPool2d(round(1 / ratio), ceil_mode=True)
    return nn.Upsample(scale_factor=ratio, mode="bilinear")


def _to(level: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return level if level.shape[-2:] == like.shape[-2:] else F.interpolate(level, like.shape[-2:], mode="bilinear")
