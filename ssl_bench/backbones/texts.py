"""What zero-shot evaluation asks of a backbone beside images: a text tower into the same space."""

from __future__ import annotations

from typing import Any, Protocol, cast

import torch

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.errors import SettingsError


class TextTower(Protocol):
    """Members of a :class:`Backbone` of images and texts. ``joint``: the name of the embedding of images in the space of
    the texts."""

    joint: str

    @property
    def tokenizer(self) -> Any:
        """List of texts -> (B, context length) int64 token ids."""

    @property
    def logit_scale(self) -> float:
        """What cosine similarities are multiplied with to give logits."""

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        """Token ids -> (B, E), not normalised."""


def text_tower(backbone: Backbone) -> TextTower:
    """The backbone itself, or :class:`SettingsError` if it has no text tower."""
    if not hasattr(type(backbone), "encode_text") or not hasattr(backbone, "joint"):
        raise SettingsError(
            f"Model {backbone.name} has no text tower, which zero-shot classification needs.",
            "Choose a model of images and texts, such as clip_vitb16.",
        )
    return cast(TextTower, backbone)
