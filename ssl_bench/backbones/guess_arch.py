"""Which network has tensors of these names and shapes? For plain ViTs (timm's names) and ResNets (torchvision's)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import timm
import torch

from ssl_bench.backbones.nets.resnet import BLOCKS

Tensors = Mapping[str, torch.Tensor]
Network = tuple[str, dict[str, Any]]
"""``arch`` and ``arch_args``, as a card has them."""

_VITS = {192: ("tiny", 12), 384: ("small", 12), 768: ("base", 12), 1024: ("large", 24), 1280: ("huge", 32)}
"""Width -> timm's word for the size, and its depth."""
_BOTTLENECK: dict[tuple[int, ...], int] = {
    (3, 4, 6, 3): 50,
    (3, 4, 23, 3): 101,
    (3, 8, 36, 3): 152,
    (3, 24, 36, 3): 200,
}
_BASIC: dict[tuple[int, ...], int] = {(2, 2, 2, 2): 18, (3, 4, 6, 3): 34}


def guess_network(tensors: Tensors) -> Network | None:
    """The network that these tensors seem to belong to, or None. Heads, strides and activations leave no trace in shapes."""
    return _vit(tensors) or _resnet(tensors)


def _vit(tensors: Tensors) -> Network | None:
    kernel = tensors.get("patch_embed.proj.weight")
    depth = _count(tensors, r"blocks\.(\d+)\.attn\.qkv\.weight$")
    if kernel is None or kernel.dim() != 4 or not depth:
        return None
    width, channels, patch, _ = kernel.shape
    word, usual_depth = _VITS.get(width, ("base", 12))
    arch = next((a for p in (patch, 16, 14) if timm.is_model(a := f"vit_{word}_patch{p}_224")), "vit_base_patch16_224")
    own = {"patch_size": patch, "depth": depth, "in_chans": channels, "embed_dim": width}
    usual = {"patch_size": int(arch.split("patch")[1].split("_")[0]), "depth": usual_depth, "in_chans": 3}
    changed = {key: value for key, value in own.items() if value != {**usual, "embed_dim": width}[key]}
    if width not in _VITS:
        changed |= {"embed_dim": width, "num_heads": max(1, width // 64)}
    return arch, changed | _mlp(tensors, width) | _tokens(tensors, patch) | _norms(tensors)


def _mlp(tensors: Tensors, width: int) -> dict[str, Any]:
    hidden = tensors.get("blocks.0.mlp.fc1.weight")
    ratio = 4.0 if hidden is None else len(hidden) / width
    changed: dict[str, Any] = {} if ratio == 4 else {"mlp_ratio": ratio}
    return changed | ({} if "blocks.0.attn.qkv.bias" in tensors else {"qkv_bias": False})


def _tokens(tensors: Tensors, patch: int) -> dict[str, Any]:
    """Side of the images in training, and which tokens have a position."""
    positions = tensors.get("pos_embed")
    with_cls = "cls_token" in tensors
    count = positions.shape[-2] if positions is not None and positions.dim() == 3 else (224 // patch) ** 2 + with_cls
    side = math.isqrt(count)
    covers_cls = side * side != count  # N^2 positions: patches only
    side = math.isqrt(count - 1) if covers_cls else side
    changed: dict[str, Any] = {} if side * patch == 224 else {"img_size": side * patch}
    if not with_cls:
        changed |= {"class_token": False, "global_pool": "avg"}
    elif not covers_cls:
        changed |= {"no_embed_class": True}
    return changed


def _norms(tensors: Tensors) -> dict[str, Any]:
    changed: dict[str, Any] = {"init_values": 1.0} if "blocks.0.ls1.gamma" in tensors else {}
    if "fc_norm.weight" in tensors:
        changed |= {"global_pool": "avg", "fc_norm": True}
    elif "norm.weight" not in tensors:
        changed |= {"final_norm": False}
    elif "cls_token" not in tensors:
        changed |= {"fc_norm": False}
    return changed | ({"pre_norm": True} if "norm_pre.weight" in tensors else {})


def _resnet(tensors: Tensors) -> Network | None:
    stem = tensors.get("conv1.weight")
    blocks = tuple(_count(tensors, rf"layer{stage}\.(\d+)\.conv1\.weight$") for stage in (1, 2, 3, 4))
    if stem is None or stem.dim() != 4 or 0 in blocks or stem.shape[-1] != 7:
        return None
    width, channels = stem.shape[:2]
    changed: dict[str, Any] = {} if channels == 3 else {"in_chans": channels}
    inner = tensors.get("layer1.0.conv2.weight")
    if "layer1.0.conv3.weight" not in tensors:
        depth = _BASIC.get(blocks)
        return (f"resnet{depth}", changed) if depth and width == 64 else None
    depth = _BOTTLENECK.get(blocks)
    if depth is None or width % 64:
        return None
    if width == 64 and inner is not None and len(inner) == 128:
        return f"wide_resnet{depth}_2", changed
    if width == 64 and timm.is_model(f"resnet{depth}"):
        return f"resnet{depth}", changed
    return (f"resnet{depth}w{width // 64}", changed) if depth in BLOCKS else None


def _count(tensors: Tensors, pattern: str) -> int:
    found = [int(match[1]) for name in tensors if (match := re.match(pattern, name))]
    return max(found, default=-1) + 1
