"""Images with their objects as torchvision's tensors, and what is done to them in training and at test."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from ssl_bench.data.scene_checks import instances_of
from ssl_bench.data.scenes import Instances, SceneSplit
from ssl_bench.data.transforms import as_tensor
from ssl_bench.errors import DataError
from ssl_bench.progress import Progress
from ssl_bench.protocols.dense.samples import Make, Sample
from ssl_bench.protocols.detection.recipes import Recipe

MIN_SIDE = 1.0
"""Objects of which a transform leaves less than a pixel are gone."""


def sample_with(masks: bool) -> Make:
    """Samples with ``image``; ``target``: ``boxes`` (n, 4), ``labels`` (n,) from 1 (0 is background), and ``masks`` (n, H, W)
    if wanted. Crowds are not trained on; difficult objects are, as in detectron2."""
    return partial(_sample, masks)


def _sample(masks: bool, split: SceneSplit, index: int) -> Sample:
    image, found = opened(split, index, masks)
    kept = ~found.crowd
    boxes = tv_tensors.BoundingBoxes(
        torch.from_numpy(found.boxes[kept]).reshape(-1, 4),
        format=tv_tensors.BoundingBoxFormat.XYXY,
        canvas_size=tuple(image.shape[-2:]),
    )
    target: dict[str, Any] = {"boxes": boxes, "labels": torch.from_numpy(found.labels[kept] + 1)}
    if masks and found.masks is not None:
        target["masks"] = tv_tensors.Mask(torch.from_numpy(found.masks[kept].astype(np.uint8)))
    return {"image": image, "target": target}


def opened(split: SceneSplit, index: int, masks: bool) -> tuple[tv_tensors.Image, Instances]:
    """An image and its objects; :class:`DataError` where they do not fit together."""
    image = tv_tensors.Image(as_tensor(split.image(index)).contiguous())
    return image, instances_of(split, index, (int(image.shape[-2]), int(image.shape[-1])), masks)


def with_objects(split: SceneSplit, progress: Progress) -> np.ndarray:
    """Images on which a detector is trained: those with an object that is no crowd. Every annotation is read once, so that
    a wrong one is found before the training."""
    counts = []
    with progress.bar(f"reading the objects of {split.name}", len(split)) as advance:
        for index in range(len(split)):
            counts.append(int((~split.instances(index, masks=False).crowd).sum()))
            advance()
    found = np.flatnonzero(counts)
    if not len(found):
        raise DataError(f"No image of {split.name} has an object.", "A detector cannot be trained on these.")
    return found


def training_transform(recipe: Recipe) -> Callable[[Sample], Sample]:
    """Flip with probability 1/2, resize (see Recipe), leave out what is no longer seen."""
    if recipe.resizing == "jitter":
        size = (recipe.test_side, recipe.test_side)
        steps = [v2.ScaleJitter(size, recipe.scale, antialias=True), RandomWindow(recipe.test_side)]
    elif recipe.resizing == "long":
        steps = [LongSide(recipe.sides)]
    else:
        steps = [v2.RandomShortestSize(list(recipe.sides), max_size=recipe.max_side, antialias=True)]
    chain = v2.Compose(
        [v2.RandomHorizontalFlip(0.5), *steps, v2.ClampBoundingBoxes(), v2.SanitizeBoundingBoxes(MIN_SIDE)]
    )
    return partial(_transformed, chain)


class RandomWindow(v2.Transform):  # type: ignore[misc]
    """A random window of at most ``side`` x ``side`` pixels; a smaller image stays whole (the batch is padded)."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = v2.query_size(flat_inputs)
        size = min(height, self.side), min(width, self.side)
        top, left = (
            int(torch.randint(whole - part + 1, ())) for whole, part in zip((height, width), size, strict=True)
        )
        return {"top": top, "left": left, "height": size[0], "width": size[1]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.crop, inpt, **params)


class LongSide(v2.Transform):  # type: ignore[misc]
    """The longer side becomes one of ``sides`` pixels."""

    def __init__(self, sides: tuple[int, ...]) -> None:
        super().__init__()
        self.sides = sides

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = v2.query_size(flat_inputs)
        side = self.sides[int(torch.randint(len(self.sides), ()))]
        return {"size": sized(height, width, side / max(height, width))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.resize, inpt, params["size"], antialias=True)


def sized(height: int, width: int, factor: float) -> list[int]:
    return [max(1, round(height * factor)), max(1, round(width * factor))]


def size_at_test(height: int, width: int, recipe: Recipe) -> list[int]:
    """The size that a test image is resized to."""
    if recipe.resizing == "short":
        return sized(height, width, min(recipe.test_side / min(height, width), recipe.max_side / max(height, width)))
    return sized(height, width, recipe.test_side / max(height, width))


def _transformed(chain: v2.Compose, sample: Sample) -> Sample:
    image, target = chain(sample["image"], sample["target"])
    return {**sample, "image": image, "target": target}
