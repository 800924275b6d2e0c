"""BEiT and what is built like it (SimMIM's ViT, data2vec): a timm ``Beit``, whose patches know where they are by what
they add to the attention."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from timm.layers.patch_embed import PatchEmbed
from timm.models.beit import Beit
from torch import nn
from torch.nn import functional as F

from ssl_bench.backbones.positions import interpolate
from ssl_bench.backbones.relative_positions import AnySizeAttention, bias_of, resample
from ssl_bench.backbones.vit import ViTBackbone
from ssl_bench.errors import SettingsError


def fits(module: nn.Module) -> bool:
    return type(module) is Beit and type(module.patch_embed) is PatchEmbed


class BeitBackbone(ViTBackbone):
    """As :class:`ViTBackbone`, at any resolution for the table that all blocks share (pretrained networks) and for
    absolute positions. A table of every block's own (fine-tuned networks) is for the trained resolution only, unless
    ``any_size.accept_any_size`` has changed the network."""

    def attention(self, images: torch.Tensor) -> torch.Tensor:
        """softmax(q_cls k^T / sqrt(d) + bias) over all tokens; the columns of the patches (they sum to less than 1)."""
        block, grid = self.module.blocks[-1], self._grid(images)
        tokens = block.norm1(self._after_block(images, len(self.module.blocks) - 1))
        attn, (batch, count, _) = block.attn, tokens.shape
        both = None if attn.q_bias is None else torch.cat([attn.q_bias, attn.k_bias, attn.v_bias])
        joined = F.linear(tokens, attn.qkv.weight, both)
        query, key, _ = joined.reshape(batch, count, 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4)
        products = query[:, :, :1] * attn.scale @ key.transpose(-2, -1)
        shared = self._shared_bias(grid)
        if shared is not None:
            products = products + shared[:, :1]
        if attn.relative_position_bias_table is not None:
            table = resample(attn.relative_position_bias_table, tuple(attn.window_size), grid)
            products = products + bias_of(table, grid)[:, :1]
        weights: torch.Tensor = products.softmax(dim=-1)[:, :, 0, 1:]
        return weights.reshape(batch, -1, *grid)

    def _blocks(self, images: torch.Tensor) -> Iterator[torch.Tensor]:
        tokens, bias = self._embed(images), self._shared_bias(self._grid(images))
        for block in self.module.blocks:
            if isinstance(block.attn, AnySizeAttention):
                block.attn.grid = self._grid(images)
            tokens = block(tokens, shared_rel_pos_bias=bias)
            yield tokens

    def _embed(self, images: torch.Tensor) -> torch.Tensor:
        beit, grid = self.module, self._grid(images)
        patches = beit.patch_embed.norm(beit.patch_embed.proj(images).flatten(2).transpose(1, 2))
        tokens = torch.cat([beit.cls_token.expand(len(images), -1, -1), patches], dim=1)
        if beit.pos_embed is None:
            return tokens
        square = images.shape[-2] == images.shape[-1]
        table = interpolate(beit.pos_embed[:, 1:], beit.patch_embed.grid_size, grid, self.positions, square)
        return tokens + torch.cat([beit.pos_embed[:, :1], table], dim=1)

    def _shared_bias(self, grid: tuple[int, int]) -> torch.Tensor | None:
        """(heads, 1 + h w, 1 + h w) of the table that all blocks share, or None."""
        trained = self.module.patch_embed.grid_size
        attn = self.module.blocks[0].attn
        one_size = attn.relative_position_bias_table is not None and not isinstance(attn, AnySizeAttention)
        if grid != trained and one_size:
            raise SettingsError(
                f"Model {self.name}: its blocks have a position table each, for {trained} patches; the image has {grid}.",
                "Give images of the trained size, or take the pretrained network, whose blocks share one table.",
            )
        if self.module.rel_pos_bias is None:
            return None
        return bias_of(resample(self.module.rel_pos_bias.relative_position_bias_table, trained, grid), grid)
