"""The contract of recordings: samples of sound, one class or several labels each, perhaps in folds."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ssl_bench.data.dataset import Dataset, Split, Subset
from ssl_bench.errors import DataError


@dataclass(frozen=True)
class Tags:
    """Several labels a recording, as lists: ``values[start[i]:start[i + 1]]`` are the classes of recording i."""

    start: np.ndarray
    values: np.ndarray
    classes: int

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]], classes: int) -> Tags:
        start = np.cumsum([0, *(len(tags) for tags in lists)])
        return cls(start, np.array([tag for tags in lists for tag in tags], dtype=np.int64), classes)

    def __getitem__(self, index: int) -> np.ndarray:
        found: np.ndarray = self.values[self.start[index] : self.start[index + 1]]
        return found

    def __len__(self) -> int:
        return len(self.start) - 1

    def present(self, rows: np.ndarray) -> np.ndarray:
        """(n, C) int8: 1 for the labels of these recordings. Two million of 527 classes would be a gigabyte: ask for few."""
        found = np.zeros((len(rows), self.classes), dtype=np.int8)
        for position, row in enumerate(rows.tolist()):
            found[position, self[row]] = 1
        return found

    def rows(self, rows: np.ndarray) -> Tags:
        return Tags.of([self[row].tolist() for row in rows.tolist()], self.classes)


class AudioSplit(Split):
    """Recordings in a fixed order. ``tags``: their labels where a recording may have several; ``labels`` is then 0 for all.
    ``folds``: (N,) the fold of each, where the data set is scored by cross-validation; train and test then hold the same
    recordings, and a protocol must take them apart by their folds."""

    tags: Tags | None = None
    folds: np.ndarray | None = None

    @abstractmethod
    def waveform(self, index: int) -> tuple[np.ndarray, int]:
        """(n,) float32 in [-1, 1], the mean of all channels, and how many of them a second;
        :class:`ssl_bench.errors.ImageError` that names the recording if it cannot be read."""

    def image(self, index: int) -> Image.Image:
        raise DataError(
            f"Data set {self.name} holds recordings: there is nothing to see.",
            "Choose a task on recordings: ssl-bench list tasks shows audio and audio_frozen.",
        )

    def subset(self, indices: Sequence[int] | np.ndarray) -> AudioSplit:
        return AudioSubset(self, np.asarray(indices, dtype=np.int64))


class AudioSubset(Subset, AudioSplit):
    """Some recordings of another split."""

    parent: AudioSplit

    def __init__(self, parent: AudioSplit, indices: np.ndarray) -> None:
        Subset.__init__(self, parent, indices)
        self.tags = None if parent.tags is None else parent.tags.rows(indices)
        self.folds = None if parent.folds is None else parent.folds[indices]

    def waveform(self, index: int) -> tuple[np.ndarray, int]:
        return self.parent.waveform(int(self.indices[index]))

    def image(self, index: int) -> Image.Image:
        return AudioSplit.image(self, index)

    def array(self) -> np.ndarray | None:
        return None

    def subset(self, indices: Sequence[int] | np.ndarray) -> AudioSplit:
        return AudioSplit.subset(self, indices)


@dataclass(frozen=True)
class Fold:
    """What one training sees and what it is scored on. ``name``: for people and for the record."""

    name: str
    train: AudioSplit
    test: AudioSplit


def folds_of(dataset: Dataset) -> list[Fold]:
    """The trainings that a data set asks for: one for every fold, which is the test while the others train, or just one.
    Raises :class:`DataError` where it has no recordings, or where ``--limit`` left one fold only."""
    train, test = dataset.train, dataset.test
    if not isinstance(train, AudioSplit) or not isinstance(test, AudioSplit):
        raise DataError(
            f"Data set {dataset.name} has no recordings.", "Choose a task on another data set: ssl-bench list tasks."
        )
    if train.folds is None or test.folds is None:
        return [Fold("all", train, test)]
    numbers = np.unique(test.folds).tolist()
    if len(numbers) < 2:
        raise DataError(
            f"Data set {dataset.name}: all its recordings here are of fold {numbers}; cross-validation needs two folds.",
            "Give a larger --limit, or leave it out.",
        )
    return [
        Fold(
            f"fold {number}",
            train.subset(np.flatnonzero(train.folds != number)),
            test.subset(np.flatnonzero(test.folds == number)),
        )
        for number in numbers
    ]
