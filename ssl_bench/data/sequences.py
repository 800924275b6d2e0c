"""The contract of videos as frames with masks: what label propagation needs, and what a clip can be cut from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ssl_bench.data.dataset import Dataset, Split, Subset
from ssl_bench.errors import DataError


class SequenceSplit(Split):
    """Videos in a fixed order. ``lengths``: (N,) frames of each. An image of the split is a video's first frame.

    ``identity`` covers all frames and masks of a video.
    """

    lengths: np.ndarray

    @abstractmethod
    def frame(self, index: int, time: int) -> Image.Image:
        """Frame ``time`` (from 0) of a video, in RGB."""

    @abstractmethod
    def mask(self, index: int, time: int) -> np.ndarray:
        """(H, W) uint8 of the frame's size: 0 background, 1, 2, ... the objects, the same number in every frame."""

    def title(self, index: int) -> str:
        """What people call the video."""
        return f"video {index}"

    def image(self, index: int) -> Image.Image:
        return self.frame(index, 0)

    def clip(self, index: int) -> np.ndarray:
        """(T, H, W, 3) uint8: all frames of a video."""
        return np.stack([np.asarray(self.frame(index, time)) for time in range(int(self.lengths[index]))])

    def subset(self, indices: Sequence[int] | np.ndarray) -> SequenceSplit:
        return SequenceSubset(self, np.asarray(indices, dtype=np.int64))


class SequenceSubset(Subset, SequenceSplit):
    """Some videos of another split."""

    parent: SequenceSplit

    def __init__(self, parent: SequenceSplit, indices: np.ndarray) -> None:
        Subset.__init__(self, parent, indices)
        self.lengths = parent.lengths[indices]

    def frame(self, index: int, time: int) -> Image.Image:
        return self.parent.frame(int(self.indices[index]), time)

    def mask(self, index: int, time: int) -> np.ndarray:
        return self.parent.mask(int(self.indices[index]), time)

    def title(self, index: int) -> str:
        return self.parent.title(int(self.indices[index]))

    def image(self, index: int) -> Image.Image:
        return self.parent.image(int(self.indices[index]))

    def array(self) -> np.ndarray | None:
        return None

    def subset(self, indices: Sequence[int] | np.ndarray) -> SequenceSplit:
        return SequenceSplit.subset(self, indices)


def sequences(dataset: Dataset) -> SequenceSplit:
    """The test videos, or :class:`DataError` where the data set has none."""
    if not isinstance(dataset.test, SequenceSplit):
        raise DataError(
            f"Data set {dataset.name} has no videos with masks.",
            "Choose a task on another data set: ssl-bench list tasks.",
        )
    return dataset.test
