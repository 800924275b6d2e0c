"""Transforms of dense tasks: image and target move together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.data.scenes import IGNORE
from ssl_bench.protocols.dense.samples import DepthMap, Sample

Move = Callable[..., tuple[torch.Tensor, torch.Tensor]]
Colours = Literal["none", "photometric", "byol", "multimae", "multimae_depth"]
TRIES = 10
"""Crops that are tried before one with too much of one class is taken (mmsegmentation)."""


def fills(backbone: Backbone) -> dict[Any, list[int] | float]:
    """What is put where a crop reaches beyond the image: the mean colour; pixels that do not count."""
    mean = [round(255 * value) for value in backbone.preprocess.card.mean]
    return {tv_tensors.Image: mean, tv_tensors.Mask: IGNORE, DepthMap: 0.0}


@dataclass(frozen=True)
class ScaleAndCrop:
    """Shorter side (``longest``: longer side) to ``side`` (None: the image's own) times U(``scale``), then a rectangle of
    ``crop`` = (height, width) pixels at a random ``place`` or in the middle, padded below and to the right where the image is smaller; flipped with
    probability 1/2; ``colours`` changed. ``most``: a crop in which one class has more than this share is drawn again, ten
    times at most."""

    fill: Any
    crop: tuple[int, int]
    scale: tuple[float, float] = (1.0, 1.0)
    side: int | None = None
    longest: bool = False
    place: Literal["random", "centre"] = "random"
    most: float = 1.0
    flip: bool = True
    colours: Colours = "none"

    def __call__(self, sample: Sample) -> Sample:
        image, target = sample["image"], sample["target"]
        factor = float(torch.empty(()).uniform_(*self.scale))
        image, target = resized(image, target, self.side, factor, self.longest)
        image, target = self._cropped(image, target)
        move: Move = v2.RandomHorizontalFlip(0.5 if self.flip else 0.0)
        image, target = move(image, target)
        return {**sample, "image": change_colours(image, self.colours), "target": target}

    def _cropped(self, image: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        height, width = (min(a, b) for a, b in zip(self.crop, image.shape[-2:], strict=True))
        down, right = int(image.shape[-2]) - height, int(image.shape[-1]) - width
        for _ in range(TRIES if self.place == "random" else 1):
            top, left = down // 2, right // 2
            if self.place == "random":
                top, left = int(torch.randint(down + 1, ())), int(torch.randint(right + 1, ()))
            part = target[..., top : top + height, left : left + width]
            if self.most >= 1 or _largest_share(part) < self.most:
                break
        box = top, left, height, width
        return pad_to(v2.functional.crop(image, *box), v2.functional.crop(target, *box), self.crop, self.fill)


@dataclass(frozen=True)
class ScoredCrop:
    """A test image as some papers have it, where the truth is changed like the image and scored so: ``centre``: the shorter
    side to ``side`` (None: as it is), then the middle ``crop`` pixels; ``pad``: the longer side to ``side``; both padded to
    ``crop`` with pixels that do not count."""

    fill: Any
    mode: Literal["centre", "pad"]
    crop: tuple[int, int]
    side: int | None = None

    def __call__(self, sample: Sample) -> Sample:
        image, target = resized(sample["image"], sample["target"], self.side, 1.0, self.mode == "pad")
        if self.mode == "centre":
            size = [min(a, b) for a, b in zip(self.crop, image.shape[-2:], strict=True)]
            move: Move = v2.CenterCrop(size)
            image, target = move(image, target)
        image, target = pad_to(image, target, self.crop, self.fill)
        return {**sample, "image": image, "target": target}


def resized(
    image: torch.Tensor, target: torch.Tensor, side: int | None, factor: float, longest: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Both at the size of :func:`size_for`; the image bilinear with a low-pass filter, the target to the nearest pixel."""
    size = size_for(int(image.shape[-2]), int(image.shape[-1]), side, factor, longest)
    if size == tuple(image.shape[-2:]):
        return image, target
    move: Move = v2.Resize(list(size), antialias=True)
    return move(image, target)


def size_for(height: int, width: int, side: int | None, factor: float = 1.0, longest: bool = False) -> tuple[int, int]:
    """The sides, in proportion, when the shorter (``longest``: longer) one is ``side`` (None: its own) times ``factor``."""
    base = (max if longest else min)(height, width)
    ratio = (side or base) * factor / base
    return max(1, round(height * ratio)), max(1, round(width * ratio))


def pad_to(
    image: torch.Tensor, target: torch.Tensor, size: tuple[int, int], fill: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """At least ``size`` pixels, added below and to the right."""
    missing = [max(0, a - b) for a, b in zip(size, image.shape[-2:], strict=True)]
    if not any(missing):
        return image, target
    move: Move = v2.Pad([0, 0, missing[1], missing[0]], fill=fill)
    return move(image, target)


def change_colours(image: torch.Tensor, how: Colours) -> torch.Tensor:
    """(3, H, W) uint8 -> the same with other colours.

    ``photometric``: mmsegmentation's distortion (contrast and saturation 0.5 to 1.5, hue 0.1, each with probability 1/2;
    brightness is multiplied by 0.875 to 1.125, where there up to 32 are added). ``byol``, on NYUv2: brightness 0.1255,
    saturation 0.5 to 1.5, hue 0.2, grey with probability 0.3. ``multimae_depth``: these with contrast 0.4, with probability
    1/2. ``multimae``: brightness and contrast 0.4, saturation 0.2, hue 0.1, with probability 1/2.
    """
    if how == "none":
        return image
    changed: torch.Tensor = _COLOURS[how](image)
    return changed


_BYOL = {"brightness": 0.1255, "saturation": (0.5, 1.5), "hue": 0.2}
_COLOURS: dict[str, v2.Transform] = {
    "photometric": v2.RandomPhotometricDistort(hue=(-0.1, 0.1)),
    "byol": v2.Compose([v2.ColorJitter(**_BYOL), v2.RandomGrayscale(0.3)]),
    "multimae_depth": v2.Compose(
        [v2.RandomApply([v2.ColorJitter(contrast=0.4, **_BYOL)], 0.5), v2.RandomGrayscale(0.3)]
    ),
    "multimae": v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.2, 0.1)], 0.5),
}


def _largest_share(target: torch.Tensor) -> float:
    """Share of the most frequent class among the pixels that count; 1 where none does."""
    known = target[target != IGNORE]
    return float(known.bincount().max() / known.numel()) if known.numel() else 1.0
