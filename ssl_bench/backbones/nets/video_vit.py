"""The encoder of MAE as a spatiotemporal learner (facebookresearch/mae_st models_vit.py; facebookresearch/SlowFast)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from timm.models.vision_transformer import Block
from torch import nn

from ssl_bench.errors import SettingsError


class VideoViT(nn.Module):
    """(B, 3, ``frames``, ``img_size``, ``img_size``) -> (B, D): mean of the patch tokens of the last block, THEN the norm.

    That is what the authors' fine-tuning classifies; its norm begins as the norm of pre-training, which there was
    applied to every token. A patch is ``tubelet`` frames of ``patch_size`` x ``patch_size`` pixels. Its position is the
    sum of one for its place and one for its time; the class token has its own. All blocks attend over space and time.
    """

    def __init__(
        self,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        frames: int = 16,
        img_size: int = 224,
        patch_size: int = 16,
        tubelet: int = 2,
    ) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.clip_size = (3, frames, img_size, img_size)
        patch = (tubelet, patch_size, patch_size)
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv3d(3, embed_dim, patch, patch)})
        self.cls_token = nn.Parameter(torch.empty(1, 1, embed_dim))
        self.pos_embed_class = nn.Parameter(torch.empty(1, 1, embed_dim))
        self.pos_embed_spatial = nn.Parameter(torch.empty(1, (img_size // patch_size) ** 2, embed_dim))
        self.pos_embed_temporal = nn.Parameter(torch.empty(1, frames // tubelet, embed_dim))
        for parameter in (self.cls_token, self.pos_embed_class, self.pos_embed_spatial, self.pos_embed_temporal):
            nn.init.trunc_normal_(parameter, std=0.02)
        norm: Any = partial(nn.LayerNorm, eps=1e-6)
        self.blocks = nn.Sequential(
            *(Block(embed_dim, num_heads, qkv_bias=True, norm_layer=norm) for _ in range(depth))
        )
        self.norm = norm(embed_dim)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        if clips.shape[1:] != self.clip_size:
            raise SettingsError(f"A video ViT takes clips of {self.clip_size}, not {tuple(clips.shape[1:])}.")
        patches = self.patch_embed["proj"](clips).flatten(2).transpose(1, 2)  # time, then rows, then columns
        # One row a time, one column a place -> the same order.
        positions = (self.pos_embed_temporal[:, :, None] + self.pos_embed_spatial[:, None]).flatten(1, 2)
        cls = (self.cls_token + self.pos_embed_class).expand(len(clips), -1, -1)
        tokens = self.blocks(torch.cat([cls, patches + positions], dim=1))
        vectors: torch.Tensor = self.norm(tokens[:, 1:].mean(dim=1))
        return vectors
