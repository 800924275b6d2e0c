"""The contract of videos: any frames of a video by their numbers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from ssl_bench.data.dataset import Dataset, Split, Subset
from ssl_bench.data.sequences import SequenceSplit
from ssl_bench.errors import DataError

Change = Callable[[np.ndarray], np.ndarray]
"""(H, W, 3) uint8 -> (h, w, 3) uint8."""
SEQUENCE_RATE = 30.0
"""Frames a second of videos that are kept as frames and say nothing of time."""


class Length(NamedTuple):
    """``frames`` of a video, counted from 0, and how many a second: frame n is shown at n / ``rate`` seconds."""

    frames: int
    rate: float


class VideoSplit(Split):
    """Labelled videos in a fixed order. An image of the split is the frame in the middle of the video."""

    @abstractmethod
    def length(self, index: int) -> Length:
        """Without decoding; :class:`ssl_bench.errors.ImageError` that names the video if it cannot be read."""

    @abstractmethod
    def clip(self, index: int, numbers: Sequence[int] | np.ndarray, each: Change | None = None) -> np.ndarray:
        """(T, H, W, 3) uint8: the frames with these T numbers, in this order; a number may come twice. ``each`` is applied to
        every frame as it is decoded, so that frames of a large film can be made smaller before all are in memory."""

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(self.clip(index, [self.length(index).frames // 2])[0])

    def subset(self, indices: Sequence[int] | np.ndarray) -> VideoSplit:
        return VideoSubset(self, np.asarray(indices, dtype=np.int64))


class VideoSubset(Subset, VideoSplit):
    """Some videos of another split."""

    parent: VideoSplit

    def length(self, index: int) -> Length:
        return self.parent.length(int(self.indices[index]))

    def clip(self, index: int, numbers: Sequence[int] | np.ndarray, each: Change | None = None) -> np.ndarray:
        return self.parent.clip(int(self.indices[index]), numbers, each)

    def image(self, index: int) -> Image.Image:
        return self.parent.image(int(self.indices[index]))

    def array(self) -> np.ndarray | None:
        return None

    def subset(self, indices: Sequence[int] | np.ndarray) -> VideoSplit:
        return VideoSplit.subset(self, indices)


class SequenceVideos(VideoSplit):
    """Videos that are kept as frames, ``SEQUENCE_RATE`` of them a second."""

    def __init__(self, split: SequenceSplit) -> None:
        self.split = split
        self.labels, self.classes, self.name = split.labels, split.classes, split.name

    def length(self, index: int) -> Length:
        return Length(int(self.split.lengths[index]), SEQUENCE_RATE)

    def clip(self, index: int, numbers: Sequence[int] | np.ndarray, each: Change | None = None) -> np.ndarray:
        frames: np.ndarray = self.split.clip(index)[np.asarray(numbers, dtype=np.int64)]
        return frames if each is None else np.stack([each(frame) for frame in frames])

    def identity(self, index: int) -> str:
        return self.split.identity(index)


def videos(dataset: Dataset) -> dict[str, VideoSplit]:
    """The data set's splits by name, or :class:`DataError` where it has no videos."""
    found: dict[str, VideoSplit] = {}
    for name, split in dataset.splits.items():
        if isinstance(split, SequenceSplit):
            split = SequenceVideos(split)
        if not isinstance(split, VideoSplit):
            raise DataError(
                f"Data set {dataset.name} has no videos.", "Choose a task on another data set: ssl-bench list tasks."
            )
        found[name] = split
    return found
