"""Video files, decoded with PyAV (the extra ``video``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ssl_bench.data.splits import FileSplit
from ssl_bench.data.videos import Change, Length, VideoSplit
from ssl_bench.errors import ImageError, MissingExtraError

EXTENSIONS = (".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".ogv")
MISSING_PART = 0.05
"""Containers promise a few frames more than decoders give; a video that lacks a larger part of them is damaged."""


class VideoFiles(FileSplit, VideoSplit):
    """Video files: ``paths`` are relative to ``root``. Of several video streams the one is taken that players choose."""

    def length(self, index: int) -> Length:
        return length_of(self.file(index))

    def clip(self, index: int, numbers: Sequence[int] | np.ndarray, each: Change | None = None) -> np.ndarray:
        return decode(self.file(index), numbers, each)

    image = VideoSplit.image
    subset = VideoSplit.subset


def length_of(path: Path) -> Length:
    """From the container's index, or by counting its packets where it has none."""
    with _opened(path) as (container, stream):
        frames = int(stream.frames) or sum(1 for packet in container.demux(stream) if packet.size)
        rate = stream.average_rate or stream.guessed_rate
        if not frames or not rate:
            raise ValueError("it has no frames")
        return Length(frames, float(rate))


def decode(path: Path, numbers: Sequence[int] | np.ndarray, each: Change | None = None) -> np.ndarray:
    """(T, H, W, 3) uint8: the frames with these numbers in the order of showing, counted from 0; ``each`` changes every one.

    Decoded from the beginning, so that a number means the same frame in every call. Of a video that gives a few frames less
    than its container promises, the last one stands for those behind it.
    """
    wanted = np.asarray(numbers, dtype=np.int64)
    if len(wanted) == 0 or wanted.min() < 0:
        raise ValueError(f"{numbers} are no numbers of frames")
    last, needed = int(wanted.max()), set(wanted.tolist())
    found: dict[int, np.ndarray] = {}
    count = 0
    with _opened(path) as (container, stream):
        for frame in container.decode(stream):
            if count in needed:
                found[count] = _pixels(frame, each)
            newest, count = frame, count + 1
            if count > last:
                break
        if count <= last * (1 - MISSING_PART) or not count:
            raise ValueError(f"frame {last} was asked for, and only {count} can be decoded")
        if count <= last:
            end = _pixels(newest, each)
            found |= dict.fromkeys((number for number in needed if number >= count), end)
    return np.stack([found[number] for number in wanted.tolist()])


def _pixels(frame: Any, each: Change | None) -> np.ndarray:
    pixels: np.ndarray = frame.to_ndarray(format="rgb24")
    return pixels if each is None else each(pixels)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container and its video stream; whatever the libraries raise on a broken file names it."""
    av = _av()
    try:
        with av.open(str(path)) as container:
            stream = container.streams.best("video")
            if stream is None:
                raise ValueError("it has no video stream")
            yield container, stream
    except (av.FFmpegError, OSError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ImageError(
            f"{path}: cannot be read as a video: {reason}.",
            "Put an intact copy there, or leave it out with --skip-broken.",
        ) from error


def _av() -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", "video", "Reading video files") from error
    av.logging.set_level(av.logging.PANIC)  # what FFmpeg would print of a damaged file is in the error already
    return av
