"""Plain ViTs under timm's names, as shapes and as plain functions (masked.md 0.1)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F

from proofs.proof import Shapes, Tensors

S, B, L, H = (384, 12), (768, 12), (1024, 24), (1280, 32)
"""Width and depth."""
THIN = {"depth": 2}
"""Two blocks of the true width and heads: megabytes, not gigabytes."""


def vit_shapes(
    dim: int,
    depth: int,
    patch: int = 16,
    size: int = 224,
    *,
    cls: bool = True,
    norm: bool = True,
    mlp: int | None = None,
) -> Shapes:
    """``cls``: with class token. ``norm``: with final norm. ``mlp``: hidden width of the MLP (4 x ``dim``)."""
    hidden, tokens = mlp or 4 * dim, (size // patch) ** 2 + cls
    shapes: Shapes = {"cls_token": (1, 1, dim)} if cls else {}
    shapes |= {
        "pos_embed": (1, tokens, dim),
        "patch_embed.proj.weight": (dim, 3, patch, patch),
        "patch_embed.proj.bias": (dim,),
    }
    for i in range(depth):
        parts = {
            "attn.qkv": (3 * dim, dim),
            "attn.proj": (dim, dim),
            "mlp.fc1": (hidden, dim),
            "mlp.fc2": (dim, hidden),
        }
        for part, (out, inner) in parts.items():
            shapes |= {f"blocks.{i}.{part}.weight": (out, inner), f"blocks.{i}.{part}.bias": (out,)}
        for part in ("norm1", "norm2"):
            shapes |= {f"blocks.{i}.{part}.weight": (dim,), f"blocks.{i}.{part}.bias": (dim,)}
    return shapes | ({"norm.weight": (dim,), "norm.bias": (dim,)} if norm else {})


def layer_norm(t: Tensors, name: str, x: torch.Tensor, eps: float = 1e-6) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], t[f"{name}.weight"], t[f"{name}.bias"], eps)


def linear(t: Tensors, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, t[f"{name}.weight"], t.get(f"{name}.bias"))


def attention(t: Tensors, at: str, x: torch.Tensor, heads: int) -> torch.Tensor:
    """softmax(q k^T / sqrt(d)) v, heads joined, projected."""
    batch, count, dim = x.shape
    q, k, v = (
        part.reshape(batch, count, heads, dim // heads).transpose(1, 2)
        for part in linear(t, f"{at}.qkv", x).chunk(3, dim=-1)
    )
    weights = (q @ k.transpose(-2, -1) * (dim // heads) ** -0.5).softmax(dim=-1)
    return linear(t, f"{at}.proj", (weights @ v).transpose(1, 2).reshape(batch, count, dim))


def vit_tokens(
    t: Tensors,
    images: torch.Tensor,
    heads: int,
    *,
    eps: float = 1e-6,
    act: Callable[[torch.Tensor], torch.Tensor] = F.gelu,
) -> torch.Tensor:
    """All tokens after the last block, before the final norm; images of the trained size."""
    patch = t["patch_embed.proj.weight"].shape[-1]
    x = F.conv2d(images, t["patch_embed.proj.weight"], t["patch_embed.proj.bias"], stride=patch)
    x = x.flatten(2).transpose(1, 2)
    if "cls_token" in t:
        x = torch.cat([t["cls_token"].expand(len(x), -1, -1), x], dim=1)
    x, i = x + t["pos_embed"], 0
    while (at := f"blocks.{i}") + ".norm1.weight" in t:
        x = x + attention(t, f"{at}.attn", layer_norm(t, f"{at}.norm1", x, eps), heads)
        y = act(linear(t, f"{at}.mlp.fc1", layer_norm(t, f"{at}.norm2", x, eps)))
        x, i = x + linear(t, f"{at}.mlp.fc2", y), i + 1
    return x


def cls_after_norm(heads: int) -> Callable[[Tensors, torch.Tensor], torch.Tensor]:
    """What most authors evaluate: the class token of the last block, after the final norm."""
    return lambda t, images: layer_norm(t, "norm", vit_tokens(t, images, heads))[:, 0]
