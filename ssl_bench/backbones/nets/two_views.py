"""ResNets that do not see the whole image: only its lightness (colourisation), or lightness and colour apart (CMC)."""

from __future__ import annotations

from typing import Any

import timm
import torch
from timm.models.resnet import ResNet
from torch import nn


class _FirstChannel(nn.Conv2d):
    """A convolution of one input channel that takes the first of three."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images[:, :1])


def resnet50_lightness(**changes: Any) -> ResNet:
    """A ResNet-50 of the first channel whose last stage keeps the resolution of the one before, without dilation.

    (B, 3, H, W) -> (B, 2048). Not timm's ``output_stride=16``, which dilates the last stage. Source: VISSL,
    ``models/trunks/resnext.py`` with ``INPUT_TYPE: lab`` and ``LAYER4_STRIDE: 1``.
    """
    net: Any = timm.create_model("resnet50", pretrained=False, num_classes=0, in_chans=1, **changes)
    width = net.conv1.out_channels
    net.conv1 = _FirstChannel(1, width, kernel_size=7, stride=2, padding=3, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    net.layer4[0].conv2.stride = net.layer4[0].downsample[0].stride = (1, 1)
    module: ResNet = net
    return module


class TwoViews(nn.Module):
    """(B, 3, H, W) -> (B, D): the vector of a ResNet-50 of the first channel, then that of one of the other two.

    ``channels``: inner channels of the stages; half of the usual ones in CMC's smallest network. The stem has 64 in all.
    Source: HobbitLong/CMC, ``models/resnet.py`` and ``LinearProbing.py`` (layer 6).
    """

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        light, colour = (
            timm.create_model("resnet50", pretrained=False, num_classes=0, in_chans=count, **changes)
            for count in (1, 2)
        )
        self.light, self.colour = light, colour
        self.embed_dim = 2 * int(light.num_features)  # type: ignore[arg-type]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.light(images[:, :1]), self.colour(images[:, 1:])], dim=1)
