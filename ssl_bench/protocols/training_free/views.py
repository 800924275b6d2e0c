"""A backbone that sees its images in another way, so that the usual extraction makes, keeps and resumes its vectors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from PIL import Image

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.transforms import Preprocess, as_tensor

Vector = Callable[[Backbone, torch.Tensor], torch.Tensor]


class View(Backbone):
    """``preprocess`` in place of the model's own, and ``vector(backbone, images)`` (B, D) in place of its embedding.
    ``what`` says both: it is part of the key of the stored vectors."""

    def __init__(self, backbone: Backbone, preprocess: Preprocess, vector: Vector, what: str) -> None:
        super().__init__()
        self.backbone, self.preprocess, self.vector = backbone, preprocess, vector
        self.name, self.weights, self.modality = backbone.name, backbone.weights, backbone.modality
        self.embed_dim, self.embedding = backbone.embed_dim, f"{backbone.embedding}: {what}"
        self.definition = f"{backbone.definition} {what}"

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.vector(self.backbone, images)


class Thumbnail(Preprocess):
    """The whole image, shrunk so that no side is longer than ``side`` (PIL's ``thumbnail`` with Lanczos); a smaller one
    stays as it is."""

    def __init__(self, backbone: Backbone, side: int) -> None:
        super().__init__(backbone.preprocess.card)
        self.side = side

    def pixels(self, image: Image.Image) -> torch.Tensor:
        image = image.convert("RGB")  # a copy: thumbnail changes the image itself
        image.thumbnail((self.side, self.side), Image.Resampling.LANCZOS)
        return as_tensor(image)

    def keeps(self, height: int, width: int) -> bool:
        return max(height, width) <= self.side


def for_views(compute: Compute, batch_size: int | None = None) -> Compute:
    """These transforms have one pipeline only; ``batch_size``: 1 for images of different sizes."""
    return compute.with_(pipeline="exact", batch_size=batch_size or compute.batch_size)
