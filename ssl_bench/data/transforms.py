"""Evaluation transforms: exactly what the authors apply."""

from __future__ import annotations

import torch
from PIL import Image
from torchvision.transforms import v2
from torchvision.transforms.functional import InterpolationMode

from ssl_bench.cards import PreprocessCard


class Preprocess:
    """PIL image -> (3, H, W) float32, exactly the authors' evaluation transform (PIL resize, central crop, normalise)."""

    def __init__(self, card: PreprocessCard) -> None:
        self.card = card
        steps: list[torch.nn.Module] = []
        if card.resize is not None:
            size = (card.resize, card.resize) if card.squash else card.resize
            steps.append(v2.Resize(size, InterpolationMode(card.interpolation)))
        if card.crop is not None:
            steps.append(v2.CenterCrop(card.crop))
        steps += [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(card.mean), list(card.std))]
        self._steps = v2.Compose(steps)

    def __call__(self, image: Image.Image) -> torch.Tensor:
        tensor: torch.Tensor = self._steps(image.convert("RGB"))
        return tensor.as_subclass(torch.Tensor)
