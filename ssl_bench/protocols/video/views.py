"""Which frames and which part of them a network sees (facebookresearch/mae_st util/decoder/decoder.py, util/kinetics.py).

A clip of T frames with a stride of s, counted at ``rate`` frames a second, spans ``span = T s fps / rate`` frames of a video
with fps frames a second; the numbers of its frames are ::

    floor(clamp(linspace(start, start + span - 1, T), 0, frames - 1))

With ``slack = max(frames - span, 0)``, test clip i of K starts at i floor(slack / (K - 1)), a single one at floor(slack / 2),
and a training clip anywhere, uniformly, from 0 to slack.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torchvision.transforms.v2 import functional as F

from ssl_bench.data.videos import Length, VideoSplit
from ssl_bench.settings import Settings


class ClipNumbers(Settings):
    """``frames``, ``stride`` and ``rate`` as above. At test the shorter side becomes ``side`` pixels (None: ``crop``), and
    ``crops`` squares of ``crop`` pixels are taken along the longer side of each of ``clips`` clips."""

    frames: int = Field(16, ge=1)
    stride: int = Field(4, ge=1)
    rate: float = Field(30.0, gt=0)
    crop: int = Field(224, ge=1)
    side: int | None = Field(None, ge=1)
    clips: int = Field(10, ge=1)
    crops: Literal[1, 3] = 3


def span(length: Length, numbers: ClipNumbers) -> float:
    """Frames of the video that a clip extends over."""
    return numbers.frames * numbers.stride * length.rate / numbers.rate


def slack(length: Length, numbers: ClipNumbers) -> float:
    return max(length.frames - span(length, numbers), 0.0)


def starts(length: Length, numbers: ClipNumbers) -> list[int]:
    """First frame of each test clip."""
    free = slack(length, numbers)
    if numbers.clips == 1:
        return [math.floor(free / 2)]
    return [i * math.floor(free / (numbers.clips - 1)) for i in range(numbers.clips)]


def frame_numbers(start: float, length: Length, numbers: ClipNumbers) -> np.ndarray:
    """(T,) int64."""
    exact = np.linspace(start, start + span(length, numbers) - 1, numbers.frames)
    chosen: np.ndarray = np.clip(exact, 0, length.frames - 1).astype(np.int64)
    return chosen


def views_of(split: VideoSplit, index: int, numbers: ClipNumbers) -> torch.Tensor:
    """(clips x crops, T, 3, crop, crop) uint8: clip after clip, each with its crops from left to right or from top to
    bottom. The video is decoded once."""
    length = split.length(index)
    wanted = [frame_numbers(start, length, numbers) for start in starts(length, numbers)]
    shrink = partial(shorter_side, side=numbers.side or numbers.crop)
    frames = as_frames(split.clip(index, np.concatenate(wanted), shrink))
    clips = frames.reshape(numbers.clips, numbers.frames, *frames.shape[1:])
    crops = [square(clips, numbers.crop, position) for position in range(numbers.crops)] if numbers.crops > 1 else []
    return torch.stack(crops or [square(clips, numbers.crop, None)], dim=1).flatten(0, 1)


def as_frames(pixels: np.ndarray) -> torch.Tensor:
    """(T, H, W, 3) -> (T, 3, H, W) uint8."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


def shorter_side(frame: np.ndarray, side: int) -> np.ndarray:
    """(H, W, 3) uint8, the shorter side at ``side`` pixels, bilinear."""
    if min(frame.shape[:2]) == side:
        return frame
    resized: torch.Tensor = F.resize(torch.from_numpy(frame).permute(2, 0, 1), [side], antialias=True)
    return resized.permute(1, 2, 0).numpy()


def square(clips: torch.Tensor, crop: int, position: int | None) -> torch.Tensor:
    """(..., H, W) -> (..., crop, crop): in the middle, or along the longer side at ``position`` 0 (its beginning), 1 (its
    middle) or 2 (its end); offsets to the middle are rounded up."""
    height, width = clips.shape[-2:]
    offsets = [math.ceil((height - crop) / 2), math.ceil((width - crop) / 2)]
    if position in (0, 2):
        axis = 0 if height > width else 1
        offsets[axis] = 0 if position == 0 else (height, width)[axis] - crop
    top, left = offsets
    return clips[..., top : top + crop, left : left + crop]
