"""FLIP's two towers (facebookresearch/flip models_flip.py): a timm ViT, and a Transformer of texts without any mask."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import timm
import torch
from timm.models.vision_transformer import Block
from torch import nn

WORDS, LENGTH = 30523, 32
"""BERT's uncased vocabulary and one bucket more; tokens of a text."""


class TextTransformer(nn.Module):
    """(B, ``LENGTH``) token ids -> (B, D): the first token after the final norm. Padding is attended to like words; LayerNorm's
    eps is 1e-6, GELU the approximation by tanh."""

    def __init__(self, width: int, layers: int, heads: int, words: int = WORDS) -> None:
        super().__init__()
        norm: Any = partial(nn.LayerNorm, eps=1e-6)
        gelu: Any = partial(nn.GELU, approximate="tanh")
        self.token_embedding = nn.Embedding(words, width)
        self.pos_embed = nn.Parameter(torch.zeros(1, LENGTH, width))
        self.blocks = nn.ModuleList(
            Block(width, heads, qkv_bias=True, norm_layer=norm, act_layer=gelu) for _ in range(layers)
        )
        self.norm = norm(width)
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.pos_embed, std=0.02)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.token_embedding(tokens) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        first: torch.Tensor = self.norm(x)[:, 0]
        return first


class Flip(nn.Module):
    """``vision``: timm's name of the image tower, ``changes`` its arguments. ``text_cfg``: width, layers and heads of the
    text tower. ``joint``: E, the length of the vectors that images and texts share."""

    def __init__(
        self,
        vision: str = "vit_large_patch16_224",
        joint: int = 768,
        text_cfg: Mapping[str, int] | None = None,
        **changes: Any,
    ) -> None:
        super().__init__()
        text = {"width": 768, "layers": 12, "heads": 12, **(text_cfg or {})}
        visual: Any = timm.create_model(
            vision, pretrained=False, num_classes=0, **{"act_layer": "gelu_tanh", **changes}
        )
        self.visual = visual
        self.text = TextTransformer(**text)
        self.img_mlp1 = nn.Linear(visual.num_features, joint, bias=False)
        self.txt_mlp1 = nn.Linear(text["width"], joint, bias=False)
        self.logit_scale = nn.Parameter(torch.full((1,), math.log(1 / 0.07)))
