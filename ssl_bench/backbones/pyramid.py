"""Feature maps at strides 4, 8, 16, 32 from whatever maps a network has."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

STRIDES = (4, 8, 16, 32)


def pyramid(maps: list[torch.Tensor], image_size: tuple[int, int]) -> list[torch.Tensor]:
    """``maps``: (B, C_i, h_i, w_i) in network order -> one map at each of the strides 4, 8, 16, 32.

    A stride that the network has is taken from its deepest map of that stride. Any other is resampled from the last
    map, without parameters: bilinear to a finer grid, max-pooling to a coarser one (the simple feature pyramid of
    ViTDet, arXiv 2203.16527, without its learned convolutions).
    """
    height, width = image_size
    by_stride = {round(width / level.shape[-1]): level for level in maps}
    last = maps[-1]
    return [
        by_stride[stride]
        if stride in by_stride
        else _resample(last, math.ceil(height / stride), math.ceil(width / stride))
        for stride in STRIDES
    ]


def _resample(level: torch.Tensor, height: int, width: int) -> torch.Tensor:
    if height <= level.shape[-2] and width <= level.shape[-1]:
        return F.adaptive_max_pool2d(level, (height, width))
    return F.interpolate(level, size=(height, width), mode="bilinear", align_corners=False)
