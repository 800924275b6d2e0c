"""The contract: named splits of labelled images."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image


class Split(ABC):
    """Labelled images in a fixed order."""

    labels: np.ndarray
    """(N,) int64 class indices."""
    classes: tuple[str, ...]
    name: str = "images"
    """For people: ``imagenet/train``; nothing depends on it."""
    validation: np.ndarray | None = None
    """Positions of the images in a training split that the data set's authors list for validation (VOC's val in trainval)."""

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def image(self, index: int) -> Image.Image:
        """The image in RGB; raises :class:`ssl_bench.errors.DataError` that names it if it cannot be read."""

    @abstractmethod
    def identity(self, index: int) -> str:
        """What distinguishes this image for the fingerprint: relative path and size in bytes, or a hash of its pixels."""

    def file(self, index: int) -> Path | None:
        """The image's file, if it has one."""
        return None

    def array(self) -> np.ndarray | None:
        """The whole split as (N, H, W, 3) uint8, when it is in memory and all images have one size; else None."""
        return None

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over all identities and labels in order: any change of files, sizes or order changes it."""
        digest = hashlib.sha256()
        for index, label in enumerate(self.labels.tolist()):
            digest.update(f"{self.identity(index)}\t{label}\n".encode())
        return digest.hexdigest()

    def subset(self, indices: Sequence[int] | np.ndarray) -> Split:
        """These images in this order."""
        return Subset(self, np.asarray(indices, dtype=np.int64))


class Subset(Split):
    """Some images of another split."""

    def __init__(self, parent: Split, indices: np.ndarray) -> None:
        self.parent, self.indices = parent, indices
        self.labels, self.classes, self.name = parent.labels[indices], parent.classes, parent.name
        if parent.validation is not None:
            self.validation = np.flatnonzero(np.isin(indices, parent.validation))

    def image(self, index: int) -> Image.Image:
        return self.parent.image(int(self.indices[index]))

    def identity(self, index: int) -> str:
        return self.parent.identity(int(self.indices[index]))

    def file(self, index: int) -> Path | None:
        return self.parent.file(int(self.indices[index]))

    @cached_property
    def _array(self) -> np.ndarray | None:
        whole = self.parent.array()
        return None if whole is None else whole[self.indices]

    def array(self) -> np.ndarray | None:
        return self._array


@dataclass(frozen=True)
class Dataset:
    """Train and test images of one data set; ``val`` where the set has an official third split."""

    name: str
    train: Split
    test: Split
    val: Split | None = None
    metric: str = "top1"

    @property
    def classes(self) -> tuple[str, ...]:
        return self.train.classes

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that there are, by name."""
        found = {"train": self.train, "val": self.val, "test": self.test}
        return {name: split for name, split in found.items() if split is not None}

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the splits' fingerprints."""
        parts = [self.train.fingerprint, self.test.fingerprint, self.val.fingerprint if self.val else ""]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()
