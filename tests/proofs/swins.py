"""Swin Transformers under Microsoft's names (``layers.i.downsample`` ends a stage), as shapes and as plain functions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from proofs.proof import Shapes, Tensors
from proofs.vits import layer_norm, linear

TINY = (96, (2, 2, 6, 2), (3, 6, 12, 24))
"""Width, blocks and heads of the stages."""


def swin_shapes(width: int, depths: Sequence[int], heads: Sequence[int], window: int, size: int = 224) -> Shapes:
    """A window is at most as large as its stage's map."""
    shapes: Shapes = {"patch_embed.proj.weight": (width, 3, 4, 4), "patch_embed.proj.bias": (width,)}
    shapes |= {"patch_embed.norm.weight": (width,), "patch_embed.norm.bias": (width,)}
    for stage, (depth, number) in enumerate(zip(depths, heads, strict=True)):
        dim, side = width * 2**stage, min(window, size // 4 // 2**stage)
        for block in range(depth):
            at = f"layers.{stage}.blocks.{block}"
            for part in ("norm1", "norm2"):
                shapes |= {f"{at}.{part}.weight": (dim,), f"{at}.{part}.bias": (dim,)}
            shapes[f"{at}.attn.relative_position_bias_table"] = ((2 * side - 1) ** 2, number)
            sizes = {"attn.qkv": (3, 1), "attn.proj": (1, 1), "mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}
            for part, (out, inner) in sizes.items():
                shapes |= {f"{at}.{part}.weight": (out * dim, inner * dim), f"{at}.{part}.bias": (out * dim,)}
        if stage < len(depths) - 1:
            at = f"layers.{stage}.downsample"
            shapes |= {f"{at}.reduction.weight": (2 * dim, 4 * dim)}
            shapes |= {f"{at}.norm.weight": (4 * dim,), f"{at}.norm.bias": (4 * dim,)}
    dim = width * 2 ** (len(depths) - 1)
    return shapes | {"norm.weight": (dim,), "norm.bias": (dim,)}


def swin_forward(t: Tensors, images: torch.Tensor, window: int, eps: float) -> torch.Tensor:
    """Average over the last stage, after the norm; heads are read off the tables."""
    x = F.conv2d(images, t["patch_embed.proj.weight"], t["patch_embed.proj.bias"], stride=4)
    x, stage = layer_norm(t, "patch_embed.norm", x.permute(0, 2, 3, 1), eps), 0
    while f"layers.{stage}.blocks.0.norm1.weight" in t:
        block = 0
        while (at := f"layers.{stage}.blocks.{block}") + ".norm1.weight" in t:
            side = min(window, x.shape[1])
            shift = window // 2 if block % 2 and x.shape[1] > window else 0
            x = x + _window_attention(t, f"{at}.attn", layer_norm(t, f"{at}.norm1", x, eps), side, shift)
            y = F.gelu(linear(t, f"{at}.mlp.fc1", layer_norm(t, f"{at}.norm2", x, eps)))
            x, block = x + linear(t, f"{at}.mlp.fc2", y), block + 1
        if (at := f"layers.{stage}.downsample") + ".norm.weight" in t:
            corners = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
            x = linear(t, f"{at}.reduction", layer_norm(t, f"{at}.norm", torch.cat(corners, dim=-1), eps))
        stage += 1
    return layer_norm(t, "norm", x, eps).mean(dim=(1, 2))


def _window_attention(t: Tensors, at: str, x: torch.Tensor, side: int, shift: int) -> torch.Tensor:
    """Every pixel looks at those of its window, and in a shifted map only at those that were neighbours before."""
    batch, height, width, dim = x.shape
    table = t[f"{at}.relative_position_bias_table"]
    heads, rows, columns = table.shape[1], height // side, width // side
    x = x.roll((-shift, -shift), dims=(1, 2))

    def windows(y: torch.Tensor) -> torch.Tensor:
        y = y.reshape(len(y), rows, side, columns, side, -1).transpose(2, 3)
        return y.reshape(len(y), rows * columns, side * side, -1)

    q, k, v = (
        part.reshape(batch, rows * columns, side * side, heads, dim // heads).transpose(2, 3)
        for part in windows(linear(t, f"{at}.qkv", x)).chunk(3, dim=-1)
    )
    scores = q @ k.transpose(-2, -1) * (dim // heads) ** -0.5
    y, z = (axis.flatten() for axis in torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij"))
    index = (y[:, None] - y[None] + side - 1) * (2 * side - 1) + z[:, None] - z[None] + side - 1
    scores = scores + table[index].permute(2, 0, 1)
    if shift:
        band = torch.zeros(height)
        band[-side:], band[-shift:] = 1, 2
        region = windows((3 * band[:, None] + band[None])[None, ..., None])[0, ..., 0]
        apart = region[:, None, :] != region[:, :, None]
        scores = scores - 100 * apart[:, None].float()
    mixed = (scores.softmax(dim=-1) @ v).transpose(2, 3).reshape(batch, rows, columns, side, side, dim)
    joined = linear(t, f"{at}.proj", mixed.transpose(2, 3).reshape(batch, height, width, dim))
    return joined.roll((shift, shift), dims=(1, 2))
