"""Views of several sizes through one encoder."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import torch
from timm.layers.format import Format
from timm.models.vision_transformer import VisionTransformer
from torch import nn


def encode_by_size(encoder: nn.Module, views: list[torch.Tensor]) -> torch.Tensor:
    """Features of all views in their order, (V * N, D): neighbours of the same size go through the encoder together."""
    return torch.cat([encoder(torch.cat(list(group))) for _, group in groupby(views, key=lambda v: v.shape[-1])])


def accept_any_size(encoder: nn.Module) -> None:
    """Let a timm ViT that was built for one size take others too, by resampling its positions
    (as ``dynamic_img_size=True`` at construction). Other networks stay as they are."""
    if isinstance(encoder, VisionTransformer) and not encoder.dynamic_img_size:
        vit: Any = encoder
        vit.dynamic_img_size = True
        vit.patch_embed.strict_img_size = False
        vit.patch_embed.flatten = False
        vit.patch_embed.output_fmt = Format.NHWC
