"""A backbone with a head that predicts something for every pixel."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.errors import SettingsError


class LastMaps(nn.Module):
    """(B, 3, H, W) -> (B, D, h, w): the maps of the last ``blocks`` blocks, brought to the finest of their sizes and joined."""

    def __init__(self, backbone: Backbone, blocks: int) -> None:
        super().__init__()
        self.backbone, self.blocks = backbone, blocks
        with torch.no_grad():
            self.channels = int(self(_blank(backbone)).shape[1])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = [layer.map for layer in self.backbone.layers(images, self.blocks)]
        size = max((m.shape[-2:] for m in maps), key=math.prod)
        same = [m if m.shape[-2:] == size else F.interpolate(m, size, mode="bilinear") for m in maps]
        return torch.cat(same, dim=1)


class Pyramid(nn.Module):
    """(B, 3, H, W) -> four maps at strides 4, 8, 16, 32; ``channels`` of each."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        with torch.no_grad():
            self.channels = [int(m.shape[1]) for m in self(_blank(backbone))]

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return self.backbone.pyramid(images)


class DenseNet(nn.Module):
    """``features`` (of the backbone), then ``head``, then bilinear to the images' size: (B, 3, H, W) -> (B, C, H, W).

    ``frozen``: the backbone keeps its weights and its evaluation mode while the head is trained.
    """

    def __init__(self, features: LastMaps | Pyramid, head: nn.Module, frozen: bool) -> None:
        super().__init__()
        self.features, self.head, self.frozen = features, head, frozen

    @property
    def backbone(self) -> Backbone:
        return self.features.backbone

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            features = self.features(images)
        return F.interpolate(self.head(features), images.shape[-2:], mode="bilinear")

    def train(self, mode: bool = True) -> DenseNet:
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self


def patch_of(backbone: Backbone) -> int:
    """Images whose sides are multiples of this lose no pixels: a ViT's patch, 32 for networks with stages."""
    embed = getattr(getattr(backbone, "module", None), "patch_embed", None)
    size = getattr(embed, "patch_size", None)
    if isinstance(size, (tuple, list)):
        return int(max(size)) if hasattr(backbone, "token_dim") else 32
    return 32


def padded(images: torch.Tensor, multiple: int) -> torch.Tensor:
    """(B, 3, H, W) -> the same with zeros (the mean colour) added below and to the right, up to multiples."""
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % multiple, 0, -height % multiple))


def _blank(backbone: Backbone) -> torch.Tensor:
    """One image of the size that the model is evaluated at; the model must have maps."""
    side = backbone.preprocess.card.crop or 64
    parameter = next(backbone.parameters(), None)
    if parameter is None:
        raise SettingsError(
            f"Model {backbone.name} has no weights.", "Dense tasks need a ViT or a convolutional network."
        )
    return torch.zeros(1, 3, side, side, device=parameter.device)
