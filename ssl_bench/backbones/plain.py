"""A module that maps images to vectors and offers nothing else: a plugin's, or a wrapped third-party model."""

from __future__ import annotations

import torch
from torch import nn

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import SettingsError


class PlainBackbone(Backbone):
    """``module``: (B, 3, H, W) -> (B, D)."""

    def __init__(self, module: nn.Module, embedding: str, preprocess: Preprocess, name: str, embed_dim: int) -> None:
        super().__init__()
        if embedding != "default":
            raise SettingsError(f"Model {name} has no embedding {embedding!r}, only its output.", "Use default.")
        self.module = module
        self.embedding, self.preprocess, self.name, self.embed_dim = embedding, preprocess, name, embed_dim

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = self.module(images)
        return vectors


class RawPixels(nn.Module):
    """The baseline that every trained model must beat: (B, 3, S, S) -> (B, 3 S S), the pixels themselves."""

    def __init__(self, size: int = 32) -> None:
        super().__init__()
        self.size = size
        self.embed_dim = 3 * size * size

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[1:] != (3, self.size, self.size):
            raise SettingsError(
                f"raw_pixels takes images of {self.size} x {self.size} pixels, not {tuple(images.shape[1:])}.",
                "Use arch_args {size: ...}, or a preprocess that resizes and crops to that size.",
            )
        return images.flatten(1)
