"""AMDIM's encoder of 128 x 128 images: every convolution valid, no normalisation but at the very end.

Source: Philip-Bachman/amdim-public, ``model.py`` (``Encoder`` with ``encoder_size`` 128 and ``use_bn`` off).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ssl_bench.errors import SettingsError


class _Unit(nn.Module):
    """Conv k x k, ReLU, conv 1 x 1; added to the average-pooled input, whose missing channels are zero."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, kernel, stride, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 1, bias=False)
        self.kernel, self.stride, self.more = kernel, stride, channels - channels_in

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = F.avg_pool2d(x, self.kernel, self.stride)
        residual: torch.Tensor = self.conv2(F.relu(self.conv1(x)))
        return residual + F.pad(pooled, (0, 0, 0, 0, 0, self.more))


class _Block(nn.Module):
    """A unit of kernel k, then ``depth - 1`` units of kernel 1."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int, depth: int) -> None:
        super().__init__()
        rest = [_Unit(channels, channels, 1, 1) for _ in range(depth - 1)]
        self.layer_list = nn.Sequential(_Unit(channels_in, channels, kernel, stride), *rest)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layer_list(x)
        return out


class _Stem(nn.Module):
    """Convolution with bias, then ReLU."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int, pad: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, kernel, stride, pad, padding_mode="reflect" if pad else "zeros")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.conv(x))


class _Norm(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.bn(x)
        return out


class Amdim(nn.Module):
    """(B, 3, 128, 128) -> (B, ``dim``): the last map, 1 x 1, after its BatchNorm.

    ``width``: channels after the stem (the authors' ``ndf``); ``dim``: their ``n_rkhs``; ``depth``: units a block.
    """

    def __init__(self, width: int = 256, dim: int = 2048, depth: int = 10) -> None:
        super().__init__()
        self.embed_dim = dim
        self.layer_list = nn.Sequential(
            _Stem(3, width, 5, 2, 2),
            _Stem(width, width, 3, 1, 0),
            _Block(width, 2 * width, 4, 2, depth),
            _Block(2 * width, 4 * width, 4, 2, depth),
            _Block(4 * width, 8 * width, 2, 2, depth),
            nn.Identity(),  # a BatchNorm that the authors built and did not apply
            _Block(8 * width, 8 * width, 3, 1, depth),
            _Block(8 * width, 8 * width, 3, 1, depth),
            _Unit(8 * width, dim, 3, 1),
            _Norm(dim),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[-2:] != (128, 128):
            raise SettingsError(
                f"AMDIM's encoder takes images of 128 x 128 pixels, not {tuple(images.shape[-2:])}.",
                "Its last map has one position at this size only.",
            )
        vectors: torch.Tensor = self.layer_list(images).flatten(1)
        return vectors
