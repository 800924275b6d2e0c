"""A backbone with a head that predicts something for every pixel."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.protocols.dense.taps import Taps


class DenseNet(nn.Module):
    """Maps of the backbone, ``head``, bilinear to the images' size: (B, 3, H, W) -> (B, C, H, W).

    Images are padded below and to the right, with zeros (the mean colour), to multiples of what the backbone can halve, so
    that no pixel is lost and the maps lie where the image does; the result is cut again. ``auxiliary``: a second head
    that only the loss sees. ``frozen``: the backbone keeps its weights and its evaluation mode.
    """

    def __init__(self, taps: Taps, head: nn.Module, frozen: bool, auxiliary: nn.Module | None = None) -> None:
        super().__init__()
        self.taps, self.frozen = taps, frozen
        self.heads = nn.ModuleDict({"head": head} | ({"auxiliary": auxiliary} if auxiliary else {}))

    @property
    def backbone(self) -> Backbone:
        return self.taps.backbone

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        whole = padded(images, self.taps.multiple)
        return self._sized(self.heads["head"](self._maps(whole)), whole, images)

    def with_auxiliary(self, images: torch.Tensor) -> list[torch.Tensor]:
        """What every head predicts, the main one first; for the loss."""
        whole = padded(images, self.taps.multiple)
        maps = self._maps(whole)
        return [self._sized(head(maps), whole, images) for head in self.heads.values()]

    def train(self, mode: bool = True) -> DenseNet:
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def _maps(self, images: torch.Tensor) -> list[torch.Tensor]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            maps: list[torch.Tensor] = self.taps(images)
        return maps

    def _sized(self, prediction: torch.Tensor, whole: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        sized = F.interpolate(prediction.float(), whole.shape[-2:], mode="bilinear")
        return sized[..., : images.shape[-2], : images.shape[-1]]


def padded(images: torch.Tensor, multiple: int) -> torch.Tensor:
    """(B, 3, H, W) -> the same with zeros (the mean colour) added below and to the right, up to multiples."""
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % multiple, 0, -height % multiple))


def patch_of(backbone: Backbone) -> int:
    """Images whose sides are multiples of this lose no pixels: a ViT's patch, 32 for networks with stages."""
    embed = getattr(getattr(backbone, "module", None), "patch_embed", None)
    size = getattr(embed, "patch_size", None)
    if isinstance(size, (tuple, list)):
        return int(max(size)) if hasattr(backbone, "token_dim") else 32
    return 32
