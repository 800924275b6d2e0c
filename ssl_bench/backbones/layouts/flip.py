"""FLIP: T5X checkpoints of flax networks (facebookresearch/flip, models_flip.py and t5x/layers.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ssl_bench.backbones.layouts.layout import VIT_HEADS, Layout, Tensors
from ssl_bench.errors import CheckpointError

_QKV = ("query", "key", "value")


def _image_encoder(content: Any) -> Tensors:
    """The leaves of ``target/img_encoder`` as ``Transformer/encoderblock_00/...``; the text encoder and both projections
    fall away."""
    return dict(_leaves(_target(content)["img_encoder"], ""))


def _everything(content: Any) -> Tensors:
    """The leaves of ``target`` as ``img_encoder/Transformer/encoderblock_00/...``."""
    return dict(_leaves(_target(content), ""))


def _target(content: Any) -> Mapping[str, Any]:
    target = content.get("target") if isinstance(content, Mapping) else None
    if not isinstance(target, Mapping) or not isinstance(target.get("img_encoder"), Mapping):
        raise CheckpointError(
            "The checkpoint holds no target/img_encoder, as FLIP's have.", "Name the right layout in the model's card."
        )
    return target


def _leaves(tree: Mapping[str, Any], prefix: str) -> list[tuple[str, torch.Tensor]]:
    found: list[tuple[str, torch.Tensor]] = []
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found += _leaves(value, f"{prefix}{name}/")
        elif isinstance(value, torch.Tensor):
            found.append((prefix + name, value))
    return found


def _timm(tensors: Tensors, module: nn.Module) -> Tensors:
    """The authors add the stored positions to the patches only, so the class token's row counts as zero."""
    found = _kernels(tensors)
    if "pos_embed" in found and found["pos_embed"].dim() == 3:
        table = found["pos_embed"]
        found["pos_embed"] = torch.cat([torch.zeros_like(table[:, :1]), table[:, 1:]], dim=1)
    return found


def _both(tensors: Tensors, module: nn.Module) -> Tensors:
    """Both towers. Texts have no class token: all their positions count. Their embeddings are (words, width) already."""
    table = {name: tensor for name, tensor in tensors.items() if name == "text.token_embedding.weight"}
    image = {n.removeprefix("visual."): t for n, t in tensors.items() if n.startswith("visual.")}
    rest = {n: t for n, t in tensors.items() if n not in table and not n.startswith("visual.")}
    return {**{f"visual.{n}": t for n, t in _timm(image, module).items()}, **_kernels(rest), **table}


def _kernels(tensors: Tensors) -> Tensors:
    """Kernels (in, out) -> weights (out, in); convolution (height, width, in, out) -> (out, in, height, width); query, key
    and value, in this order, become one. A query, key or value that has no partners of its shape keeps its name, and is
    left over."""
    found = {name: _weight(name, tensor) for name, tensor in tensors.items()}
    for name in [name for name in found if "query." in name]:
        parts = [name.replace("query.", f"{part}.") for part in _QKV]
        if len({found[part].shape if part in found else None for part in parts}) == 1:
            found[name.replace("query.", "qkv.")] = torch.cat([found.pop(part) for part in parts])
    return found


def _weight(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if name == "patch_embed.proj.weight" and tensor.dim() == 4:
        return tensor.permute(3, 2, 0, 1)
    return tensor.T if name.endswith(".weight") and tensor.dim() == 2 else tensor


_NAMES = (
    (r"(^|\.)cls$", r"\1cls_token"),
    (r"(^|\.)posembed_encoder/pos_embedding$", r"\1pos_embed"),
    (r"(^|\.)embedding/", r"\1patch_embed.proj/"),
    (r"(^|\.)Transformer/encoder_norm/", r"\1norm/"),
    (r"(^|\.)Transformer/encoderblock_0(\d)/", r"\1blocks.\2."),
    (r"(^|\.)Transformer/encoderblock_([1-9]\d)/", r"\1blocks.\2."),
    (r"LayerNorm_0/", "norm1/"),
    (r"LayerNorm_1/", "norm2/"),
    (r"MultiHeadDotProductAttention_0/out/", "attn.proj/"),
    (r"MultiHeadDotProductAttention_0/", "attn."),
    (r"MlpBlock_0/Dense_0/", "mlp.fc1/"),
    (r"MlpBlock_0/Dense_1/", "mlp.fc2/"),
    (r"(norm\d?)/scale$", r"\1.weight"),
    (r"(proj|fc1|fc2|query|key|value)/kernel$", r"\1.weight"),
    (r"/bias$", ".bias"),
)
_TOWERS = (
    (r"^img_encoder/", "visual."),
    (r"^txt_encoder/", "text."),
    (r"^text\.token_embedding/embedding$", "text.token_embedding.weight"),
    (r"^(img|txt)_mlp1/kernel$", r"\1_mlp1.weight"),
)

LAYOUTS = {
    "flip": Layout(extract=_image_encoder, rename=_NAMES, hook=_timm, heads=VIT_HEADS),
    "flip_text": Layout(
        extract=_everything,
        rename=(*_TOWERS, *_NAMES),
        hook=_both,
        heads=VIT_HEADS,
        text_heads={512: 8, 768: 12, 1024: 16},
    ),
}
