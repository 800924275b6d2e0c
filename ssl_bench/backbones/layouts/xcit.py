"""DINO's XCiT: names of facebookresearch/xcit to timm's."""

from __future__ import annotations

import re

import torch
from torch import nn

from ssl_bench.backbones.layouts.layout import Layout, Tensors
from ssl_bench.backbones.layouts.negative_free import LAYOUTS as _NEGATIVE_FREE

_CLASS_QKV = re.compile(r"(cls_attn_blocks\.\d+\.attn)\.qkv\.(weight|bias)")


def _split_class_attention(tensors: Tensors, module: nn.Module) -> Tensors:
    """(3 D, ...) query, key and value, one after the other -> three tensors: timm's class attention makes the query of the
    class token only."""
    split: Tensors = {}
    for name, tensor in tensors.items():
        if found := _CLASS_QKV.fullmatch(name):
            parts = torch.tensor_split(tensor, 3)
            split |= {f"{found[1]}.{part}.{found[2]}": t for part, t in zip("qkv", parts, strict=True)}
        else:
            split[name] = tensor
    return split


LAYOUTS = {
    "dino_xcit": Layout(
        unwrap=("teacher",),
        drop=_NEGATIVE_FREE["dino"].drop,
        prefixes=_NEGATIVE_FREE["dino"].prefixes,
        rename=((r"^pos_embeder\.", "pos_embed."),),
        hook=_split_class_attention,
        heads={384: 8, 512: 8},
    ),
}
