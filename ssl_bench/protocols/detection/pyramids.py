"""What a detector sees of a backbone: (B, 3, H, W) -> maps by name, finest first.

Names are ``0``, ``1`` ... for maps whose boxes are cut out, and ``pool`` for a coarser one that only the RPN sees.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import torch
from timm.layers.norm import LayerNorm2d
from torch import nn
from torch.nn import functional as F
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.errors import SettingsError

STRIDES = (4, 8, 16, 32)
Maps = OrderedDict[str, torch.Tensor]


class Pyramid(nn.Module):
    """``strides`` of the maps whose boxes are cut out; ``out_channels`` of every map; ``multiple``: images are padded to
    multiples of it; ``body``: what was pretrained."""

    strides: tuple[int, ...] = STRIDES
    out_channels: int
    multiple: int

    def __init__(self, body: nn.Module, frozen: bool) -> None:
        super().__init__()
        self.body: Any = body.requires_grad_(not frozen)
        self.frozen = frozen

    def train(self, mode: bool = True) -> Pyramid:
        """Frozen weights keep their statistics too."""
        super().train(mode)
        if self.frozen:
            self.body.eval()
        return self


class C4(Pyramid):
    """Stem and first three stages of a ResNet: one map, of stride 16 where the stem has 4."""

    multiple = 32

    def __init__(self, module: Any, frozen: bool) -> None:
        names = ("conv1", "bn1", "act1", "maxpool", "layer1", "layer2", "layer3")
        super().__init__(nn.Sequential(*(getattr(module, name) for name in names)), frozen)
        with torch.no_grad():
            found = self.body(blank(self.body, 128))
        self.out_channels, self.strides = found.shape[1], (128 // found.shape[-1],)

    def forward(self, images: torch.Tensor) -> Maps:
        return OrderedDict([("0", self.body(images))])


class Fpn(Pyramid):
    """Feature pyramid network (Lin et al. 2017) on the maps of strides 4 to 32. New layers have BatchNorm (MoCo)."""

    multiple = 32

    def __init__(self, backbone: Backbone, width: int, frozen: bool) -> None:
        super().__init__(backbone, frozen)
        self.out_channels = width
        side = backbone.preprocess.card.crop or 64
        with torch.no_grad():
            channels = [level.shape[1] for level in backbone.pyramid(blank(backbone, side))]
            _check_any_size(backbone, 32 * (side // 32 + 1))
        self.neck = FeaturePyramidNetwork(channels, width, LastLevelMaxPool(), norm_layer=nn.BatchNorm2d)

    def forward(self, images: torch.Tensor) -> Maps:
        found = self.neck(OrderedDict((str(level), m) for level, m in enumerate(self.body.pyramid(images))))
        return OrderedDict(found)


class SimplePyramid(Pyramid):
    """ViTDet (arXiv 2203.16527): every level from the last map of a ViT, before its final norm.

    Stride 4 and 8 of patches of 16 pixels: transposed convolutions that double the grid and halve the channels, LayerNorm
    and GELU between two; 16: the map; 32: its 2 x 2 maximum. Then 1 x 1 and 3 x 3 convolutions with LayerNorm. Where a
    patch is no power of two (14 pixels), the image is shrunk so that the next power's grid results (ViTDet resamples
    the patch embedding to that end). Attention stays global: no windows.
    """

    def __init__(self, backbone: Backbone, width: int, frozen: bool) -> None:
        super().__init__(backbone, frozen)
        self.out_channels = width
        side = backbone.preprocess.card.crop or 224
        with torch.no_grad():
            last = self._last(blank(backbone, side))
        self.patch, channels = round(side / last.shape[-1]), int(last.shape[1])
        self.cell = 2 ** math.ceil(math.log2(self.patch))
        self.multiple = max(2 * self.cell, STRIDES[-1])
        self.levels = nn.ModuleList(_level(channels, width, self.cell / stride) for stride in STRIDES)

    def forward(self, images: torch.Tensor) -> Maps:
        if self.patch != self.cell:
            size = [side // self.cell * self.patch for side in images.shape[-2:]]
            images = F.interpolate(images, size, mode="bicubic", antialias=True)
        last = self._last(images)
        maps = OrderedDict((str(number), level(last)) for number, level in enumerate(self.levels))
        maps["pool"] = F.max_pool2d(maps[str(len(STRIDES) - 1)], 1, 2)
        return maps

    def _last(self, images: torch.Tensor) -> torch.Tensor:
        last: torch.Tensor = self.body.layers_at(images, [self.body.depth - 1], norm=False)[0].map
        return last


def _level(channels: int, width: int, factor: float) -> nn.Sequential:
    """The map of ``channels`` -> ``width`` channels on a grid ``factor`` times as fine."""
    layers: list[nn.Module] = []
    while factor > 1:
        layers += [LayerNorm2d(channels), nn.GELU()] if layers else []
        layers.append(nn.ConvTranspose2d(channels, channels // 2, 2, 2))
        channels, factor = channels // 2, factor / 2
    if factor < 1:
        layers.append(nn.MaxPool2d(round(1 / factor)))
    layers += [nn.Conv2d(channels, width, 1, bias=False), LayerNorm2d(width)]
    return nn.Sequential(*layers, nn.Conv2d(width, width, 3, padding=1, bias=False), LayerNorm2d(width))


def _check_any_size(backbone: Backbone, side: int) -> None:
    try:
        backbone.pyramid(blank(backbone, side))
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(
            f"Model {backbone.name} does not take images of {side} x {side} pixels: {error}",
            "Detection needs a network that takes images of any size.",
        ) from None


def blank(module: nn.Module, side: int) -> torch.Tensor:
    """One image of zeros where the weights are."""
    parameter = next(module.parameters(), None)
    return torch.zeros(1, 3, side, side, device=None if parameter is None else parameter.device)
