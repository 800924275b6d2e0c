"""Small heads of segmentation: maps of features -> (B, C, h, w) scores."""

from __future__ import annotations

from torch import nn


def linear_head(channels: int, classes: int) -> nn.Module:
    """BatchNorm without learned parameters and a 1 x 1 convolution (iBOT's and DINOv2's linear segmentation)."""
    return nn.Sequential(nn.BatchNorm2d(channels, affine=False), nn.Conv2d(channels, classes, 1))


def fcn_head(channels: int, classes: int, width: int = 256, dilation: int = 6) -> nn.Module:
    """Two 3 x 3 convolutions of ``width`` channels and this dilation, with BatchNorm and ReLU, then 1 x 1 (MoCo, VOC12)."""

    def block(inputs: int) -> list[nn.Module]:
        conv = nn.Conv2d(inputs, width, 3, padding=dilation, dilation=dilation, bias=False)
        return [conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]

    return nn.Sequential(*block(channels), *block(width), nn.Conv2d(width, classes, 1))
