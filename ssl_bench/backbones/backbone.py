"""The contract: what a protocol may ask of any model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from ssl_bench.cards import Modality
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import SettingsError


class Layer(NamedTuple):
    """Output of one block: class token (B, D) or None, and the patch tokens or pixels as a map (B, D, h, w)."""

    cls: torch.Tensor | None
    map: torch.Tensor


@dataclass(frozen=True)
class WeightsReport:
    """Proof of what was loaded: where from, the file's hash, and how many backbone tensors were matched of how many.

    ``sha256`` of an untrained model is the hash of its tensors, so that cached features of two seeds never mix.
    """

    source: str
    sha256: str
    matched: int
    total: int

    def as_dict(self) -> dict[str, Any]:
        return {"source": self.source, "sha256": self.sha256, "matched": self.matched, "total": self.total}


class Backbone(nn.Module, ABC):
    """A frozen encoder of images (or of clips or spectrograms: ``modality``).

    ``embed_dim``: D, the length of the vector that the method's authors evaluate. ``preprocess``: the authors'
    evaluation transform; it comes from the card, never from the task.
    """

    name: str = "unnamed"
    embed_dim: int
    embedding: str = "default"
    embeddings: Mapping[str, str] = {}
    """Protocol -> embedding, where the authors evaluate another vector there; from the card."""
    own_embeddings: Mapping[str, int] = {}
    """Name -> length of vectors that only this kind of network has (CLIP: before and after its projection)."""
    modality: Modality = "image"
    """What it takes; from the card. Tasks on images are not for the others."""
    definition: str = ""
    """What else determines the vectors beside the weights' file and the preprocessing: architecture, its arguments,
    layout, embedding. Part of the key of stored features (a full DINO file holds student and teacher)."""
    preprocess: Preprocess
    weights: WeightsReport | None = None

    @abstractmethod
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) normalised images -> (B, D): the vector that the method's authors evaluate."""

    def own_embedding(self, images: torch.Tensor, name: str) -> torch.Tensor:
        """(B, 3, H, W) -> (B, ``own_embeddings[name]``)."""
        raise SettingsError(f"Model {self.name} has no embedding {name!r}.")

    def layers(self, images: torch.Tensor, last: int = 1) -> list[Layer]:
        """Outputs of the last ``last`` blocks in network order, each after the final norm where there is one
        (as DINO's linear evaluation takes them)."""
        raise SettingsError(
            f"Model {self.name} has no intermediate layers to offer.", "Use a protocol that needs its embedding only."
        )

    @property
    def depth(self) -> int:
        """How many blocks (of networks with stages: stages) :meth:`layers` and :meth:`layers_at` can give."""
        raise SettingsError(
            f"Model {self.name} has no intermediate layers to offer.", "Use a protocol that needs its embedding only."
        )

    def layers_at(self, images: torch.Tensor, numbers: Sequence[int], norm: bool = True) -> list[Layer]:
        """Outputs of the blocks with these numbers, counted from 0, in their order: as :meth:`layers` gives them, or, where
        ``norm`` is False and the network has a final norm, without it."""
        found = self.layers(images, self.depth - min(numbers))
        return [found[number - self.depth] for number in numbers]

    def pyramid(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps (B, C_i, H / s, W / s) at strides s = 4, 8, 16, 32, for dense heads."""
        raise SettingsError(
            f"Model {self.name} has no feature pyramid.", "Dense tasks need a ViT or a convolutional backbone."
        )

    def attention(self, images: torch.Tensor) -> torch.Tensor:
        """(B, heads, h, w): attention of the class token to the patches in the last block; ViTs only."""
        raise SettingsError(
            f"Model {self.name} has no class-token attention.", "Only ViTs with a class token have one."
        )
