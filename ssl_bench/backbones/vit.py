"""Vision Transformers: a timm ``VisionTransformer`` of any patch size at any resolution."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
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

EMBEDDINGS = ("default", "cls", "mean_patch", "cls_mean", "mean_token", "cls_before_norm", "cls_mean_before_norm")

_BLOCK = re.compile(r"block([1-9]\d*)_cls_mean")


def fits(module: nn.Module) -> bool:
    """Whether ``module`` is a plain ViT; hybrids and distilled ViTs go through timm's own intermediates."""
    return type(module) is VisionTransformer and type(module.patch_embed) is PatchEmbed


class ViTBackbone(Backbone):
    """``embedding``: of the last block after the final norm, ``cls``, ``mean_patch``, ``cls_mean`` (both, concatenated)
    or ``mean_token`` (the mean of all tokens, the class token too: FLIP, MultiMAE); ``cls_before_norm`` is the class token
    as the last block gives it (MSN), ``cls_mean_before_norm`` both (BEiT), ``block<k>_cls_mean`` both of block k, counted
    from 1; ``default`` is the pooling that the module was built with. ``positions``: how the position embedding is resampled for
    images of another size."""

    def __init__(
        self, module: Any, embedding: str, preprocess: Preprocess, name: str, positions: Positions = "plain"
    ) -> None:
        super().__init__()
        block = block_of(embedding)
        if embedding not in EMBEDDINGS and not 1 <= block <= len(module.blocks):
            known = f"Use {', '.join(EMBEDDINGS)}, or block<k>_cls_mean for k from 1 to {len(module.blocks)}."
            raise SettingsError(f"Model {name}: this ViT has no embedding {embedding!r}.", known)
        self.has_class_token = module.cls_token is not None
        if (embedding.startswith("cls") or block) and not self.has_class_token:
            raise SettingsError(f"Model {name} has no class token.", "Use the embedding default or mean_patch.")
        if positions not in get_args(Positions):
            raise SettingsError(f"Model {name}: there is no position interpolation {positions!r}.")
        self.module: Any = module
        self.embedding, self.preprocess, self.name, self.positions = embedding, preprocess, name, positions
        self.token_dim: int = module.num_features
        self.embed_dim = self.token_dim * (2 if "cls_mean" in embedding else 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if block := block_of(self.embedding):
            return self.cls_mean_of_block(images, block)
        tokens = self._after_block(images, len(self.module.blocks))
        if self.embedding == "cls_before_norm":
            return tokens[:, 0]
        if self.embedding == "cls_mean_before_norm":
            return _cls_mean(tokens, self.module.num_prefix_tokens)
        tokens = self.module.norm(tokens)
        if self.embedding == "default":
            pooled: torch.Tensor = self.module.forward_head(tokens, pre_logits=True)
            return pooled
        return self._pool(tokens)

    def layers(self, images: torch.Tensor, last: int = 1) -> list[Layer]:
        depth = len(self.module.blocks)
        if not 1 <= last <= depth:
            raise SettingsError(f"Model {self.name} has {depth} blocks; the last {last} were asked for.")
        return self.layers_at(images, range(depth - last, depth))

    @property
    def depth(self) -> int:
        return len(self.module.blocks)

    def layers_at(self, images: torch.Tensor, numbers: Sequence[int], norm: bool = True) -> list[Layer]:
        wanted = {}
        for number, tokens in enumerate(islice(self._blocks(images), max(numbers) + 1)):
            if number in numbers:
                wanted[number] = self._layer(self.module.norm(tokens) if norm else tokens, images)
        return [wanted[number] for number in numbers]

    def cls_mean_of_block(self, images: torch.Tensor, number: int) -> torch.Tensor:
        """(B, 2 D): class token and mean patch token of block ``number``, counted from 1, before any norm: what BEiT's linear
        probe takes from every block, to report the best (microsoft/unilm beit/run_linear_eval.py)."""
        depth = len(self.module.blocks)
        if not self.has_class_token or not 1 <= number <= depth:
            raise SettingsError(f"Model {self.name} has {depth} blocks and no class token in block {number}.")
        return _cls_mean(self._after_block(images, number), self.module.num_prefix_tokens)

    def mean_before_norm(self, images: torch.Tensor) -> torch.Tensor:
        """(B, D): mean patch token as the last block gives it, on which MAE's and BEiT's fine-tuning put a norm of their own
        (facebookresearch/mae models_vit.py, ``fc_norm``)."""
        tokens = self._after_block(images, len(self.module.blocks))
        return tokens[:, self.module.num_prefix_tokens :].mean(dim=1)

    def embed_tokens(self, images: torch.Tensor) -> torch.Tensor:
        """(B, prefix + h x w, D): the tokens as they enter the first block."""
        return self._embed(images)

    def pyramid(self, images: torch.Tensor) -> list[torch.Tensor]:
        return pyramid([self.layers(images)[0].map], (images.shape[-2], images.shape[-1]))

    def attention(self, images: torch.Tensor) -> torch.Tensor:
        """softmax(q_cls k^T / sqrt(d)) over all tokens; the columns of the patches (they sum to less than 1)."""
        block = self.module.blocks[-1]
        if not self.has_class_token or type(block) is not Block or type(block.attn) is not Attention:
            return super().attention(images)
        tokens = block.norm1(self._after_block(images, len(self.module.blocks) - 1))
        attn, (batch, count, _) = block.attn, tokens.shape
        heads, width = attn.num_heads, attn.head_dim
        query, key, _ = attn.qkv(tokens).reshape(batch, count, 3, heads, width).permute(2, 0, 3, 1, 4)
        query, key = attn.q_norm(query[:, :, :1]), attn.k_norm(key)
        weights = (query * attn.scale @ key.transpose(-2, -1)).softmax(dim=-1)
        grid = self._grid(images)
        patches: torch.Tensor = weights[:, :, 0, self.module.num_prefix_tokens :]
        return patches.reshape(batch, heads, *grid)

    def _blocks(self, images: torch.Tensor) -> Iterator[torch.Tensor]:
        """All tokens as each block gives them, in network order."""
        tokens = self._embed(images)
        for block in self.module.blocks:
            tokens = block(tokens)
            yield tokens

    def _after_block(self, images: torch.Tensor, number: int) -> torch.Tensor:
        """All tokens after block ``number``, counted from 1; 0: the input of the first."""
        return next(islice(self._blocks(images), number - 1, None)) if number else self._embed(images)

    def _embed(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, prefix + h x w, D): input of the first block."""
        vit, grid = self.module, self._grid(images)
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
        grid = images.shape[-2] // height, images.shape[-1] // width
        if 0 in grid:
            size = tuple(images.shape[-2:])
            raise SettingsError(f"Model {self.name}: an image of {size} pixels holds no patch of {height, width}.")
        return grid

    def _layer(self, tokens: torch.Tensor, images: torch.Tensor) -> Layer:
        patches = tokens[:, self.module.num_prefix_tokens :]
        maps = patches.transpose(1, 2).reshape(len(patches), -1, *self._grid(images))
        return Layer(tokens[:, 0] if self.has_class_token else None, maps)

    def _pool(self, tokens: torch.Tensor) -> torch.Tensor:
        if self.embedding == "mean_token":
            return tokens.mean(dim=1)
        if self.embedding == "mean_patch":
            return tokens[:, self.module.num_prefix_tokens :].mean(dim=1)
        return tokens[:, 0] if self.embedding == "cls" else _cls_mean(tokens, self.module.num_prefix_tokens)


def block_of(embedding: str) -> int:
    """The k of ``block<k>_cls_mean``; 0 for every other embedding."""
    found = _BLOCK.fullmatch(embedding)
    return int(found[1]) if found else 0


def _cls_mean(tokens: torch.Tensor, prefix: int) -> torch.Tensor:
    return torch.cat([tokens[:, 0], tokens[:, prefix:].mean(dim=1)], dim=1)
