"""BEiT's kind of ViT, as shapes and as plain functions (masked.md 0.2, 0.3)."""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn import functional as F

from proofs.proof import Shapes, Tensors
from proofs.vits import layer_norm, linear, vit_shapes

SHARED = "rel_pos_bias.relative_position_bias_table"
Positions = Literal["shared", "each", "absolute"]


def beit_shapes(
    dim: int, depth: int, heads: int, positions: Positions = "shared", *, scale: bool = True, norm: str = "norm"
) -> Shapes:
    """At 224 pixels. ``positions``: one relative table, one in every block, or an absolute table. ``scale``: with layer
    scale. ``norm``: name of the last norm."""
    shapes = vit_shapes(dim, depth, norm=False)
    if positions != "absolute":
        del shapes["pos_embed"]
    if positions == "shared":
        shapes[SHARED] = (27 * 27 + 3, heads)
    for i in range(depth):
        del shapes[f"blocks.{i}.attn.qkv.bias"]
        shapes |= {f"blocks.{i}.attn.{part}_bias": (dim,) for part in "qv"}
        if scale:
            shapes |= {f"blocks.{i}.gamma_{part}": (dim,) for part in (1, 2)}
        if positions == "each":
            shapes[f"blocks.{i}.attn.relative_position_bias_table"] = (27 * 27 + 3, heads)
    return shapes | {f"{norm}.weight": (dim,), f"{norm}.bias": (dim,)}


def buffers(shapes: Shapes | Tensors) -> Tensors:
    """The look-up tables that the authors' networks save beside the learned ones."""
    names = [name for name in shapes if name.endswith("bias_table")]
    return {name.replace("bias_table", "index"): torch.zeros(197, 197, dtype=torch.long) for name in names}


def bias(table: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(heads, 1 + h w, 1 + h w); queries down, keys across, the class token first."""
    rows, count = len(table), height * width
    index = torch.empty(1 + count, 1 + count, dtype=torch.long)
    y, x = torch.arange(count) // width, torch.arange(count) % width
    index[1:, 1:] = (y[:, None] - y + height - 1) * (2 * width - 1) + x[:, None] - x + width - 1
    index[0, 1:], index[1:, 0], index[0, 0] = rows - 3, rows - 2, rows - 1
    return table[index].permute(2, 0, 1)


def scores(t: Tensors, at: str, x: torch.Tensor, heads: int, added: torch.Tensor | None) -> torch.Tensor:
    """(B, heads, queries, keys), before the softmax. The keys have no bias."""
    query, key, _ = t[f"{at}.qkv.weight"].chunk(3)
    size = (len(x), x.shape[1], heads, x.shape[2] // heads)
    q = F.linear(x, query, t[f"{at}.q_bias"]).reshape(size).transpose(1, 2) * size[-1] ** -0.5
    products = q @ F.linear(x, key).reshape(size).permute(0, 2, 3, 1)
    return products if added is None else products + added


def attention(t: Tensors, at: str, x: torch.Tensor, heads: int, added: torch.Tensor | None) -> torch.Tensor:
    values = F.linear(x, t[f"{at}.qkv.weight"].chunk(3)[2], t[f"{at}.v_bias"])
    values = values.reshape(len(x), x.shape[1], heads, -1).transpose(1, 2)
    mixed = scores(t, at, x, heads, added).softmax(dim=-1) @ values
    return linear(t, f"{at}.proj", mixed.transpose(1, 2).flatten(2))


def embedded(t: Tensors, images: torch.Tensor) -> torch.Tensor:
    """Input of the first block: images of the trained size where positions are absolute."""
    x = F.conv2d(images, t["patch_embed.proj.weight"], t["patch_embed.proj.bias"], stride=16).flatten(2).transpose(1, 2)
    x = torch.cat([t["cls_token"].expand(len(x), -1, -1), x], dim=1)
    return x + t["pos_embed"] if "pos_embed" in t else x


def beit_blocks(t: Tensors, images: torch.Tensor, heads: int) -> list[torch.Tensor]:
    """All tokens after each block; the tables are for images of this size."""
    x, i, found = embedded(t, images), 0, []
    height, width = images.shape[-2] // 16, images.shape[-1] // 16
    while (at := f"blocks.{i}") + ".norm1.weight" in t:
        table = t.get(SHARED, t.get(f"{at}.attn.relative_position_bias_table"))
        added = None if table is None else bias(table, height, width)
        x = x + t.get(f"{at}.gamma_1", 1) * attention(t, f"{at}.attn", layer_norm(t, f"{at}.norm1", x), heads, added)
        y = linear(t, f"{at}.mlp.fc2", F.gelu(linear(t, f"{at}.mlp.fc1", layer_norm(t, f"{at}.norm2", x))))
        x, i = x + t.get(f"{at}.gamma_2", 1) * y, i + 1
        found.append(x)
    return found
