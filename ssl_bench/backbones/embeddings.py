"""Named vectors of an image beside the one that the authors evaluate: what linear protocols take from a backbone."""

from __future__ import annotations

import re

import torch

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.convnet import ConvNetBackbone
from ssl_bench.backbones.hierarchical import HierarchicalBackbone
from ssl_bench.backbones.plain import PlainBackbone
from ssl_bench.backbones.vit import ViTBackbone, block_of
from ssl_bench.errors import SettingsError

_LAST = re.compile(r"last([1-9]\d*)_cls(_mean)?")
_ALLOWED = (
    "Use default, cls, mean_patch, cls_mean, last<n>_cls, last<n>_cls_mean, block<k>_cls_mean (ViTs), or default, pool, "
    "pool_2x2 (ConvNets)."
)


def embed(backbone: Backbone, images: torch.Tensor, name: str = "default") -> torch.Tensor:
    """(B, 3, H, W) -> (B, :func:`embedding_dim`).

    ``default``: the backbone's own vector. For ViTs, all tokens after the final norm (source: DINO, eval_linear.py):
    ``last<n>_cls``: the class tokens of the last n blocks, concatenated in network order (DINO ViT-S: ``last4_cls``);
    ``last<n>_cls_mean``: these, then the mean patch token of the last block (DINO ViT-B: ``last1_cls_mean``);
    ``cls``, ``mean_patch``, ``cls_mean`` of the last block. Before any norm: ``block<k>_cls_mean``, the class token and the
    mean patch token of block k, counted from 1 (BEiT). For convolutional networks ``pool``, their default. Some
    networks have vectors of their own (``Backbone.own_embeddings``: CLIP's ``projected`` and ``pre_projection``, ResNets'
    ``pool_2x2``).
    """
    if _is_default(backbone, name):
        vectors: torch.Tensor = backbone(images)
        return vectors
    if name in backbone.own_embeddings:
        return backbone.own_embedding(images, name)
    if (block := block_of(name)) and isinstance(backbone, ViTBackbone):
        return backbone.cls_mean_of_block(images, block)
    blocks, cls, mean = _parts(backbone, name)
    layers = backbone.layers(images, blocks)
    tokens = [layer.cls for layer in layers if layer.cls is not None] if cls else []
    if cls and len(tokens) != blocks:
        raise SettingsError(f"Model {backbone.name} has no class token, as the embedding {name!r} needs.")
    patches = [layers[-1].map.mean(dim=(2, 3))] if mean else []
    return torch.cat([*tokens, *patches], dim=1)


def embedding_dim(backbone: Backbone, name: str = "default") -> int:
    """Length of the vector that :func:`embed` gives."""
    if _is_default(backbone, name):
        return backbone.embed_dim
    if name in backbone.own_embeddings:
        return backbone.own_embeddings[name]
    if block_of(name) and isinstance(backbone, ViTBackbone):
        return 2 * backbone.token_dim
    blocks, cls, mean = _parts(backbone, name)
    width: int = getattr(backbone, "token_dim", backbone.embed_dim)
    return width * (blocks * cls + mean)


def _is_default(backbone: Backbone, name: str) -> bool:
    same = name == "pool" and isinstance(backbone, (ConvNetBackbone, HierarchicalBackbone))
    return same or name in {"default", backbone.embedding}


def _parts(backbone: Backbone, name: str) -> tuple[int, bool, bool]:
    """How many blocks, whether their class tokens, whether the mean patch token of the last."""
    if last := _LAST.fullmatch(name):
        parts = int(last[1]), True, last[2] is not None
    elif name in {"cls", "mean_patch", "cls_mean"}:
        parts = 1, name != "mean_patch", name != "cls"
    else:
        raise SettingsError(f"Model {backbone.name}: there is no embedding {name!r}.", _ALLOWED)
    if isinstance(backbone, (ConvNetBackbone, HierarchicalBackbone, PlainBackbone)):
        raise SettingsError(f"Model {backbone.name} has no tokens, as the embedding {name!r} needs.", _ALLOWED)
    return parts
