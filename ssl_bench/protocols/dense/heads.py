"""Small heads: lists of maps of features -> (B, C, h, w) scores."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from timm.models.convnext import ConvNeXtBlock
from torch import nn
from torch.nn import functional as F

from ssl_bench.protocols.dense.taps import joined_size


class Joined(nn.Sequential):
    """All maps brought to the finest of their sizes (bilinear) and joined, then the layers: [(B, D_i, h_i, w_i)] -> ..."""

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        size = joined_size(maps)
        same = [m if m.shape[-2:] == size else F.interpolate(m, size, mode="bilinear") for m in maps]
        scores: torch.Tensor = super().forward(torch.cat(same, dim=1))  # type: ignore[no-untyped-call]
        return scores


class LastOnly(nn.Sequential):
    """The layers on one map of the list, ``at`` (from the end: -1 the last)."""

    def __init__(self, *layers: nn.Module, at: int = -1) -> None:
        super().__init__(*layers)
        self.at = at

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        scores: torch.Tensor = super().forward(maps[self.at])  # type: ignore[no-untyped-call]
        return scores


def linear_head(channels: Sequence[int], classes: int) -> nn.Module:
    """BatchNorm and a 1 x 1 convolution on all maps (iBOT's and DINOv2's linear segmentation). The norm has no weights of its
    own: they would be a part of the convolution."""
    return Joined(nn.BatchNorm2d(sum(channels), affine=False), nn.Conv2d(sum(channels), classes, 1))


def fcn_head(channels: Sequence[int], classes: int, width: int = 256, dilation: int = 6) -> nn.Module:
    """Two 3 x 3 convolutions of ``width`` channels and this dilation, with BatchNorm and ReLU, then 1 x 1, on the last map
    (MoCo, VOC12)."""
    layers = [*conv_block(channels[-1], width, dilation), *conv_block(width, width, dilation)]
    return LastOnly(*layers, nn.Conv2d(width, classes, 1))


def auxiliary_head(channels: Sequence[int], classes: int, width: int = 256) -> nn.Module:
    """One 3 x 3 convolution with BatchNorm and ReLU, dropout 0.1, 1 x 1, on the last map but one (the third level of four)."""
    return LastOnly(*conv_block(channels[-2], width), nn.Dropout2d(0.1), nn.Conv2d(width, classes, 1), at=-2)


def convnext_head(
    channels: Sequence[int], classes: int, width: int = 6144, finer: int = 4, depth: int = 4
) -> nn.Module:
    """Each patch's vector to ``width`` numbers, laid out as ``finer`` x ``finer`` places, ConvNeXt blocks, 1 x 1 (MultiMAE,
    ``ConvNeXtAdapter``)."""
    inner = width // finer**2
    blocks = [ConvNeXtBlock(inner, ls_init_value=None) for _ in range(depth)]
    grid = [nn.Conv2d(channels[-1], width, 1), nn.PixelShuffle(finer)]
    head = LastOnly(*grid, *blocks, nn.Conv2d(inner, classes, 1))
    nn.init.trunc_normal_(grid[0].weight, std=0.02)  # type: ignore[arg-type]
    return head


def conv_block(inputs: int, outputs: int, dilation: int = 1, kernel: int = 3) -> list[nn.Module]:
    """Convolution that keeps the size, BatchNorm, ReLU."""
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
