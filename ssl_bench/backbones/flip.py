"""FLIP with its text tower: as a backbone the image tower alone; images and texts meet behind their projections."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ssl_bench.backbones.nets.flip import LENGTH, Flip
from ssl_bench.backbones.positions import Positions
from ssl_bench.backbones.vit import ViTBackbone
from ssl_bench.backbones.word_pieces import WordPieces
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import SettingsError


def fits(module: nn.Module) -> bool:
    return isinstance(module, Flip)


class FlipBackbone(ViTBackbone):
    """``joint`` is the image's vector in the space shared with texts, not normalised: (B, E)."""

    joint = "joint"

    def __init__(
        self, module: Any, embedding: str, preprocess: Preprocess, name: str, positions: Positions = "plain"
    ) -> None:
        super().__init__(module.visual, embedding, preprocess, name, positions)
        self.text, self.img_mlp1, self.txt_mlp1 = module.text, module.img_mlp1, module.txt_mlp1
        self.scale = module.logit_scale
        self.own_embeddings = {"joint": module.img_mlp1.out_features}
        self._tokenizer: WordPieces | None = None

    def own_embedding(self, images: torch.Tensor, name: str) -> torch.Tensor:
        tokens = self.module.norm(self._after_block(images, self.depth))
        vectors: torch.Tensor = self.img_mlp1(tokens.mean(dim=1))
        return vectors

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, 32) token ids of :attr:`tokenizer` -> (B, E), not normalised."""
        vectors: torch.Tensor = self.txt_mlp1(self.text(tokens))
        return vectors

    def read_vocabulary(self, path: Path) -> None:
        """``path``: BERT's file ``vocab.txt``, uncased, which no checkpoint holds."""
        self._tokenizer = WordPieces(path, LENGTH, self.text.token_embedding.num_embeddings - 1)

    @property
    def tokenizer(self) -> WordPieces:
        if self._tokenizer is None:
            raise SettingsError(
                f"Model {self.name} needs BERT's vocabulary to read texts, and its checkpoint does not hold it.",
                "Give the file vocab/vocab_bert_base.txt of facebookresearch/flip: --set vocabulary=PATH",
            )
        return self._tokenizer

    @property
    def logit_scale(self) -> float:
        """exp of the learned parameter, which the authors clip to 0 and ln 100."""
        return math.exp(min(max(self.scale.item(), 0.0), math.log(100)))
