"""Vision Transformers: a timm ``VisionTransformer`` of any patch size at any resolution."""

from __future__ import annotations

from typing import Any, get_args

import torch
from timm.layers.attention import Attention
from timm.layers.patch_embed import PatchEmbed
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn

from ssl_bench.backbones.backbone import Backbone, Layer
from ssl_bench.backbones.positions import Positions, interpolate
from ssl_bench.backbones.pyramid import pyramid
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import SettingsError

EMBEDDINGS = ("default", "cls", "mean_patch", "cls_mean", "mean_token", "cls_before_norm")


def fits(module: nn.Module) -> bool:
    """Whether ``module`` is a plain ViT; hybrids and distilled ViTs go through timm's own intermediates."""
    return type(module) is VisionTransformer and type(module.patch_embed) is PatchEmbed


class ViTBackbone(Backbone):
    """``embedding``: of the last block after the final norm, ``cls``, ``mean_patch``, ``cls_mean`` (both, concatenated)
    or ``mean_token`` (the mean of all tokens, the class token too: FLIP, MultiMAE); ``cls_before_norm`` is the class token
    as the last block gives it (MSN); ``default`` is the pooling that the module was built with. ``positions``: how the
    position embedding is resampled for images of another size."""

    def __init__(
        self, module: Any, embedding: str, preprocess: Preprocess, name: str, positions: Positions = "plain"
    ) -> None:
        super().__init__()
        if embedding not in EMBEDDINGS:
            raise SettingsError(f"Model {name}: a ViT has no embedding {embedding!r}.", f"Use {', '.join(EMBEDDINGS)}.")
        if embedding.startswith("cls") and not module.has_class_token:
            raise SettingsError(f"Model {name} has no class token.", "Use the embedding default or mean_patch.")
        if positions not in get_args(Positions):
            raise SettingsError(f"Model {name}: there is no position interpolation {positions!r}.")
        self.module: Any = module
        self.embedding, self.preprocess, self.name, self.positions = embedding, preprocess, name, positions
        self.token_dim: int = module.num_features
        self.embed_dim = self.token_dim * (2 if embedding == "cls_mean" else 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens: torch.Tensor = self.module.blocks(self._embed(images))
        if self.embedding == "cls_before_norm":
            return tokens[:, 0]
        tokens = self.module.norm(tokens)
        if self.embedding == "default":
            pooled: torch.Tensor = self.module.forward_head(tokens, pre_logits=True)
            return pooled
        return self._pool(tokens)

    def layers(self, images: torch.Tensor, last: int = 1) -> list[Layer]:
        depth = len(self.module.blocks)
        if not 1 <= last <= depth:
            raise SettingsError(f"Model {self.name} has {depth} blocks; the last {last} were asked for.")
        tokens, found = self._embed(images), []
        for index, block in enumerate(self.module.blocks):
            tokens = block(tokens)
            if index >= depth - last:
                found.append(self._layer(self.module.norm(tokens), images))
        return found

    def pyramid(self, images: torch.Tensor) -> list[torch.Tensor]:
        return pyramid([self.layers(images)[0].map], (images.shape[-2], images.shape[-1]))

    def attention(self, images: torch.Tensor) -> torch.Tensor:
        """softmax(q_cls k^T / sqrt(d)) over all tokens; the columns of the patches (they sum to less than 1)."""
        block = self.module.blocks[-1]
        if not self.module.has_class_token or type(block) is not Block or type(block.attn) is not Attention:
            return super().attention(images)
        tokens = block.norm1(self.module.blocks[:-1](self._embed(images)))
        attn, (batch, count, _) = block.attn, tokens.shape
        heads, width = attn.num_heads, attn.head_dim
        query, key, _ = attn.qkv(tokens).reshape(batch, count, 3, heads, width).permute(2, 0, 3, 1, 4)
        query, key = attn.q_norm(query[:, :, :1]), attn.k_norm(key)
        weights = (query * attn.scale @ key.transpose(-2, -1)).softmax(dim=-1)
        grid = self._grid(images)
        patches: torch.Tensor = weights[:, :, 0, self.module.num_prefix_tokens :]
        return patches.reshape(batch, heads, *grid)

    def _embed(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, prefix + h x w, D): input of the first block."""
        vit = self.module
        grid = self._grid(images)
        if 0 in grid:
            size, patch = tuple(images.shape[-2:]), vit.patch_embed.patch_size
            raise SettingsError(f"Model {self.name}: an image of {size} pixels holds no patch of {patch}.")
        tokens = vit.patch_embed.norm(vit.patch_embed.proj(images).flatten(2).transpose(1, 2))
        prefix = [t.expand(len(images), -1, -1) for t in (vit.cls_token, vit.reg_token) if t is not None]
        if vit.pos_embed is not None:
            own = 0 if vit.no_embed_class else vit.num_prefix_tokens
            square = images.shape[-2] == images.shape[-1]
            table = interpolate(vit.pos_embed[:, own:], vit.patch_embed.grid_size, grid, self.positions, square)
            tokens = tokens + table
            if own:
                prefix = [torch.cat(prefix, dim=1) + vit.pos_embed[:, :own]]
        embedded: torch.Tensor = vit.norm_pre(torch.cat([*prefix, tokens], dim=1))
        return embedded

    def _grid(self, images: torch.Tensor) -> tuple[int, int]:
        height, width = self.module.patch_embed.patch_size
        return images.shape[-2] // height, images.shape[-1] // width

    def _layer(self, tokens: torch.Tensor, images: torch.Tensor) -> Layer:
        patches = tokens[:, self.module.num_prefix_tokens :]
        maps = patches.transpose(1, 2).reshape(len(patches), -1, *self._grid(images))
        return Layer(tokens[:, 0] if self.module.has_class_token else None, maps)

    def _pool(self, tokens: torch.Tensor) -> torch.Tensor:
        if self.embedding == "mean_token":
            return tokens.mean(dim=1)
        mean = tokens[:, self.module.num_prefix_tokens :].mean(dim=1)
        if self.embedding == "mean_patch":
            return mean
        return tokens[:, 0] if self.embedding == "cls" else torch.cat([tokens[:, 0], mean], dim=1)
