"""Several labels an image: targets, and the classes that can be learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.features import Features, extract
from ssl_bench.data.scenes import SceneSplit
from ssl_bench.errors import DataError
from ssl_bench.protocols.validation import validate_part

Difficult = Literal["exclude", "present"]
"""Classes of which an image has only difficult objects (VOC). ``exclude``: absent in training, left out of the test (the VOC
rule; Goyal et al., VISSL). ``present``: present in both (LAION's CLIP_benchmark)."""


@dataclass(frozen=True)
class Labelled:
    """``x`` (N, D) features and ``present`` (N, C) int8: 1, 0, and -1 where only difficult objects are. ``validation``: rows
    that the data set's authors list for validation, if they do."""

    features: Features
    present: np.ndarray
    validation: np.ndarray | None = None

    @property
    def x(self) -> np.ndarray:
        return self.features.x

    def __len__(self) -> int:
        return len(self.present)


def labelled(backbone: Backbone, split: SceneSplit, compute: Compute, embedding: str, difficult: Difficult) -> Labelled:
    """Features and labels of the images of a split that can be read; -1 is gone where ``difficult`` counts as present."""
    features = extract(backbone, split, compute, embedding)
    validate_part(features, split.name, features.classes)
    present = split.present()
    if present.shape != (len(split), len(split.classes)) or not np.isin(present, (-1, 0, 1)).all():
        raise DataError(
            f"{split.name}: its labels have shape {present.shape} and values {np.unique(present)[:5].tolist()}.",
            f"They must be ({len(split)}, {len(split.classes)}) of 1, 0 and -1.",
        )
    present = present[features.index]
    own = None if split.validation is None else np.flatnonzero(np.isin(features.index, split.validation))
    return Labelled(features, np.abs(present) if difficult == "present" else present, own)


def learnable(present: np.ndarray, classes: tuple[str, ...], at_least: int = 1) -> tuple[np.ndarray, list[str]]:
    """Positions of the classes with ``at_least`` training images that have it and as many that have not, and the names of
    the others, about which nothing can be learned. :class:`DataError` if there is no such class."""
    count = (present == 1).sum(0)
    enough = (count >= at_least) & (len(present) - count >= at_least)
    if not enough.any():
        raise DataError(
            f"No class has {at_least} training images with it and {at_least} without it.", "Use more of the images."
        )
    return np.flatnonzero(enough), [name for name, good in zip(classes, enough, strict=True) if not good]
