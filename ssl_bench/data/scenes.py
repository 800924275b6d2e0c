"""The contract of images with more than one label: maps of classes, objects, depth, several labels, captions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from ssl_bench.data.dataset import Dataset, Split, Subset
from ssl_bench.errors import DataError

Target = Literal["label_map", "instances", "depth", "present", "captions"]
IGNORE = 255
"""Pixels of a label map that enter neither loss nor score."""


@dataclass(frozen=True)
class Instances:
    """The n objects of an image. ``boxes``: (n, 4) float32, x1 y1 x2 y2 in pixels from the image's upper left corner.
    ``labels``: (n,) int64, classes from 0. ``masks``: (n, H, W) bool, or None where the data set has none.
    ``difficult``: (n,) bool, VOC's objects that are neither positives nor errors. ``crowd``: (n,) bool, COCO's regions
    that hold several objects; detections there are neither. ``areas``: (n,) float32 pixels, what COCO calls small, medium
    and large; by default the masks', or the boxes'."""

    boxes: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None = None
    difficult: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    crowd: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    areas: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    def __post_init__(self) -> None:
        if len(self.areas) == 0:
            sides = self.boxes[:, 2:] - self.boxes[:, :2]
            areas = sides.prod(1) if self.masks is None else self.masks.sum((1, 2))
            object.__setattr__(self, "areas", areas.astype(np.float32))
        for flag in ("difficult", "crowd"):
            if len(getattr(self, flag)) == 0:
                object.__setattr__(self, flag, np.zeros(len(self.labels), bool))

    def __len__(self) -> int:
        return len(self.labels)


class SceneSplit(Split):
    """Images with the ``targets`` that it names; the others raise :class:`DataError`.

    ``classes`` are those of label maps, objects and ``present``; ``labels`` is one class an image where the data set has
    one, and 0 for all where not. ``identity`` covers the files of the targets too, so that a changed mask changes the
    fingerprint.
    """

    targets: frozenset[Target]

    def label_map(self, index: int) -> np.ndarray:
        """(H, W) uint8 of the image's size: classes from 0, ``IGNORE`` (255) where nothing is known."""
        raise self._lacks("label_map")

    def instances(self, index: int, masks: bool = True) -> Instances:
        """``masks``: whether they are wanted; drawing them takes time."""
        raise self._lacks("instances")

    def depth(self, index: int) -> np.ndarray:
        """(H, W) float32 in metres, 0 where it was not measured."""
        raise self._lacks("depth")

    def present(self) -> np.ndarray:
        """(N, C) int8: 1 the class is in the image, 0 it is not, -1 only difficult objects of it are."""
        raise self._lacks("present")

    def captions(self, index: int) -> tuple[str, ...]:
        raise self._lacks("captions")

    def target_files(self, index: int) -> tuple[Path, ...]:
        """The files of an image's targets, if it has any of its own: ``data check`` looks whether they are there."""
        return ()

    @abstractmethod
    def identity(self, index: int) -> str: ...

    def subset(self, indices: Sequence[int] | np.ndarray) -> SceneSplit:
        return SceneSubset(self, np.asarray(indices, dtype=np.int64))

    def _lacks(self, target: Target) -> DataError:
        return DataError(f"Data set {self.name} has no {WORDS[target]}.", "Choose a task whose protocol needs none.")


WORDS: dict[Target, str] = {
    "label_map": "label maps",
    "instances": "boxes of objects",
    "depth": "depth maps",
    "present": "multi-label annotation",
    "captions": "captions",
}
assert set(WORDS) == set(get_args(Target))


class SceneSubset(Subset, SceneSplit):
    """Some images of a scene split."""

    parent: SceneSplit

    def __init__(self, parent: SceneSplit, indices: np.ndarray) -> None:
        Subset.__init__(self, parent, indices)
        self.targets = parent.targets

    def label_map(self, index: int) -> np.ndarray:
        return self.parent.label_map(int(self.indices[index]))

    def instances(self, index: int, masks: bool = True) -> Instances:
        return self.parent.instances(int(self.indices[index]), masks)

    def depth(self, index: int) -> np.ndarray:
        return self.parent.depth(int(self.indices[index]))

    def present(self) -> np.ndarray:
        chosen: np.ndarray = self.parent.present()[self.indices]
        return chosen

    def captions(self, index: int) -> tuple[str, ...]:
        return self.parent.captions(int(self.indices[index]))

    def target_files(self, index: int) -> tuple[Path, ...]:
        return self.parent.target_files(int(self.indices[index]))

    def identity(self, index: int) -> str:
        return self.parent.identity(int(self.indices[index]))

    def subset(self, indices: Sequence[int] | np.ndarray) -> SceneSplit:
        return SceneSplit.subset(self, indices)


def scenes(dataset: Dataset, *targets: Target) -> dict[str, SceneSplit]:
    """The data set's splits by name, or :class:`DataError` that says which of the wanted ``targets`` it lacks."""
    found: dict[str, SceneSplit] = {}
    for name, split in dataset.splits.items():
        has = split.targets if isinstance(split, SceneSplit) else frozenset()
        missing = [WORDS[target] for target in targets if target not in has]
        if missing or not isinstance(split, SceneSplit):
            offered = ", ".join(WORDS[target] for target in sorted(has)) or "one label an image"
            raise DataError(
                f"Data set {dataset.name} has no {' and no '.join(missing or ['targets of scenes'])}; it has {offered}.",
                "Choose a task on another data set: ssl-bench list tasks.",
            )
        found[name] = split
    return found
