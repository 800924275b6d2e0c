"""Training transforms of dense tasks: image and target move together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.data.scenes import IGNORE
from ssl_bench.protocols.dense.samples import DepthMap, Sample


def fills(backbone: Backbone) -> dict[Any, list[int] | float]:
    """What is put where a crop reaches beyond the image: the mean colour; pixels that do not count."""
    mean = [round(255 * value) for value in backbone.preprocess.card.mean]
    return {tv_tensors.Image: mean, tv_tensors.Mask: IGNORE, DepthMap: 0.0}


class ScaleAndCrop:
    """Shorter side to ``side`` (None: the image's own) times U(``scale``), then a random square of ``crop`` pixels, padded
    where the image is smaller; flipped with probability 1/2 (FCN on VOC: scale 0.5 to 2, crop 513)."""

    def __init__(self, backbone: Backbone, crop: int, scale: tuple[float, float], side: int | None, flip: bool = True):
        self.scale, self.side = scale, side
        self.crop = v2.RandomCrop(crop, pad_if_needed=True, fill=fills(backbone))
        self.flip = v2.RandomHorizontalFlip(0.5 if flip else 0.0)

    def __call__(self, sample: Sample) -> Sample:
        image, target = sample["image"], sample["target"]
        factor = float(torch.empty(()).uniform_(*self.scale))
        base = self.side or min(image.shape[-2:])
        resize: Callable[..., tuple[torch.Tensor, torch.Tensor]] = v2.Resize(
            max(1, round(base * factor)), antialias=True
        )
        image, target = self.flip(*self.crop(*resize(image, target)))
        return {**sample, "image": image, "target": target}
