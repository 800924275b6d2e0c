"""DINO's XCiT (negative_free.md; names of facebookresearch/xcit): the class token after the norm."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

from proofs.negative_free import full_dino
from proofs.proof import Proof, Shapes, Tensors
from proofs.resnets import norm, norm_shapes
from proofs.vits import layer_norm, linear

HEADS = 8


def xcit_shapes(dim: int, depth: int, patch: int) -> Shapes:
    """A stem of strided convolutions (4 for patches of 16, 3 for 8), blocks of cross-covariance attention, 2 of class attention."""
    shapes: Shapes = {"cls_token": (1, 1, dim)}
    stem = [dim // 8, dim // 4, dim // 2, dim][-int(math.log2(patch)) :]
    for i, (inner, out) in enumerate(zip([3, *stem], stem, strict=False)):
        shapes |= {f"patch_embed.proj.{2 * i}.0.weight": (out, inner, 3, 3)}
        shapes |= norm_shapes(f"patch_embed.proj.{2 * i}.1", out)
    for i in range(depth):
        at = f"blocks.{i}"
        shapes |= {**_block(at, dim, norms=3), f"{at}.attn.temperature": (HEADS, 1, 1)}
        for conv in ("conv1", "conv2"):
            shapes |= {f"{at}.local_mp.{conv}.weight": (dim, 1, 3, 3), f"{at}.local_mp.{conv}.bias": (dim,)}
        shapes |= norm_shapes(f"{at}.local_mp.bn", dim)
    for i in (0, 1):
        shapes |= _block(f"cls_attn_blocks.{i}", dim, norms=2)
    shapes |= {"norm.weight": (dim,), "norm.bias": (dim,)}
    at = "pos_embeder.token_projection"
    return shapes | {f"{at}.weight": (dim, 64, 1, 1), f"{at}.bias": (dim,)}


def _block(at: str, dim: int, norms: int) -> Shapes:
    shapes: Shapes = {}
    for i in range(1, norms + 1):
        shapes |= {f"{at}.norm{i}.weight": (dim,), f"{at}.norm{i}.bias": (dim,), f"{at}.gamma{i}": (dim,)}
    for part, (out, inner) in {"attn.qkv": (3, 1), "attn.proj": (1, 1), "mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}.items():
        shapes |= {f"{at}.{part}.weight": (out * dim, inner * dim), f"{at}.{part}.bias": (out * dim,)}
    return shapes


def forward(t: Tensors, images: torch.Tensor) -> torch.Tensor:
    x, i = images, 0
    while f"patch_embed.proj.{i}.0.weight" in t:
        x = F.gelu(x) if i else x
        x = norm(t, f"patch_embed.proj.{i}.1", F.conv2d(x, t[f"patch_embed.proj.{i}.0.weight"], stride=2, padding=1))
        i += 2
    size = (x.shape[2], x.shape[3])
    x = (x + _positions(t, *size)).flatten(2).transpose(1, 2)
    block = 0
    while (at := f"blocks.{block}") + ".norm1.weight" in t:
        x = x + t[f"{at}.gamma1"] * _cross_covariance(t, f"{at}.attn", layer_norm(t, f"{at}.norm1", x))
        x = x + t[f"{at}.gamma3"] * _local(t, f"{at}.local_mp", layer_norm(t, f"{at}.norm3", x), size)
        x, block = x + t[f"{at}.gamma2"] * _mlp(t, at, layer_norm(t, f"{at}.norm2", x)), block + 1
    x = torch.cat([t["cls_token"].expand(len(x), -1, -1), x], dim=1)
    for at in ("cls_attn_blocks.0", "cls_attn_blocks.1"):
        y = layer_norm(t, f"{at}.norm1", x)
        x = x + t[f"{at}.gamma1"] * torch.cat([_class_attention(t, f"{at}.attn", y), y[:, 1:]], dim=1)
        x = layer_norm(
            t, f"{at}.norm2", x
        )  # of all tokens; the rest of the block is the class token's, and doubles the others
        x = x + torch.cat([t[f"{at}.gamma2"] * _mlp(t, at, x[:, :1]), x[:, 1:]], dim=1)
    return layer_norm(t, "norm", x)[:, 0]


def _positions(t: Tensors, rows: int, columns: int) -> torch.Tensor:
    """Sines and cosines of 32 frequencies of the row, then of the column, both as angles from above 0 to 2 pi; projected."""

    def waves(count: int) -> torch.Tensor:
        angle = torch.arange(1, count + 1) / (count + 1e-6) * 2 * math.pi
        phase = angle[:, None] / 10000 ** (torch.arange(0, 32, 2) / 32)
        return torch.stack([phase.sin(), phase.cos()], dim=-1).flatten(1)

    down = waves(rows)[:, None].expand(rows, columns, 32)
    right = waves(columns)[None].expand(rows, columns, 32)
    maps = torch.cat([down, right], dim=-1).permute(2, 0, 1)[None]
    return F.conv2d(maps, t["pos_embeder.token_projection.weight"], t["pos_embeder.token_projection.bias"])


def _heads(t: Tensors, at: str, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Query, key, value: (B, heads, N, d) each."""
    batch, count, dim = x.shape
    return tuple(
        part.reshape(batch, count, HEADS, dim // HEADS).transpose(1, 2)
        for part in linear(t, f"{at}.qkv", x).chunk(3, -1)
    )


def _cross_covariance(t: Tensors, at: str, x: torch.Tensor) -> torch.Tensor:
    """Attention of channels to channels; every channel has length 1 over the tokens."""
    q, k, v = (part.transpose(2, 3) for part in _heads(t, at, x))
    weights = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(2, 3) * t[f"{at}.temperature"]
    return linear(t, f"{at}.proj", (weights.softmax(dim=-1) @ v).permute(0, 3, 1, 2).reshape(x.shape))


def _local(t: Tensors, at: str, x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    maps = x.transpose(1, 2).reshape(len(x), -1, *size)
    groups = maps.shape[1]
    maps = F.conv2d(maps, t[f"{at}.conv1.weight"], t[f"{at}.conv1.bias"], padding=1, groups=groups)
    maps = norm(t, f"{at}.bn", F.gelu(maps))
    maps = F.conv2d(maps, t[f"{at}.conv2.weight"], t[f"{at}.conv2.bias"], padding=1, groups=groups)
    return maps.flatten(2).transpose(1, 2)


def _class_attention(t: Tensors, at: str, x: torch.Tensor) -> torch.Tensor:
    """The class token looks at all tokens, itself too: (B, 1, D)."""
    q, k, v = _heads(t, at, x)
    weights = (q[:, :, :1] @ k.transpose(2, 3) * q.shape[-1] ** -0.5).softmax(dim=-1)
    return linear(t, f"{at}.proj", (weights @ v).transpose(1, 2).reshape(len(x), 1, -1))


def _mlp(t: Tensors, at: str, x: torch.Tensor) -> torch.Tensor:
    return linear(t, f"{at}.mlp.fc2", F.gelu(linear(t, f"{at}.mlp.fc1", x)))


def _xcit(model: str, dim: int, depth: int, patch: int, form: str) -> Proof:
    files: dict[str, Callable[[Tensors], Any]] = {"released": dict, "full": full_dino("module.backbone.")}
    return Proof(
        model=model,
        form=form,
        thin={"depth": 2},
        shapes=xcit_shapes(dim, 2, patch),
        full=xcit_shapes(dim, depth, patch),
        file=files[form],
        forward=forward,
        image=(3, 64, 96),
        wrong_heads={"num_heads": 4},
    )


PROOFS = [
    _xcit("dino_xcit_small_12_p16", 384, 12, 16, "released"),
    _xcit("dino_xcit_small_12_p16", 384, 12, 16, "full"),
    _xcit("dino_xcit_small_12_p8", 384, 12, 8, "released"),
    _xcit("dino_xcit_medium_24_p16", 512, 24, 16, "released"),
    _xcit("dino_xcit_medium_24_p8", 512, 24, 8, "released"),
]
