"""Training samples of recordings (facebookresearch/AudioMAE dataset.py)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field

from ssl_bench.compute import Compute
from ssl_bench.data.recordings import AudioSplit
from ssl_bench.protocols.audio.front_end import FrontEnd, normalised, spectrogram, waveform_of
from ssl_bench.settings import Settings
from ssl_bench.training.draws import drawn_from

SAMPLE, BALANCE = 77, 78
BETA = 10.0


class AudioAugmentNumbers(Settings):
    """In this order. ``roll``: the sound begins at a random place, its end before its beginning, and its loudness is
    multiplied by 1/2 + Beta(10, 10). ``mixup``: share of the samples that are lambda x this + (1 - lambda) x another sound,
    lambda from Beta(10, 10), labels alike. ``mask_bins`` and ``mask_frames``: one band of up to so many frequencies and one
    stretch of up to so many frames become 0. ``noise``: up to a tenth of uniform noise, and up to ten frames of roll.

    ``draws``: samples of an epoch, drawn without putting back with probabilities proportional to the sum over a recording's
    labels of 1 / (how often the label occurs); None: every recording once."""

    roll: bool = True
    mixup: float = Field(0.5, ge=0, le=1)
    mask_bins: int = Field(48, ge=0)
    mask_frames: int = Field(192, ge=0)
    noise: bool = False
    draws: int | None = Field(None, ge=1)


@dataclass(frozen=True)
class TrainSounds:
    """(epoch, recording) -> (1, frames, bins) and (C,) float32 targets; runs in a worker."""

    split: AudioSplit
    front: FrontEnd
    augment: AudioAugmentNumbers
    seed: int

    def __call__(self, epoch: int, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        with drawn_from(self.seed, SAMPLE, epoch, index):
            sound, target = self._sound(index), targets(self.split, np.array([index]))[0]
            if np.random.uniform() < self.augment.mixup:
                other = int(np.random.randint(len(self.split)))
                share = np.random.beta(BETA, BETA)
                sound = mix(sound, self._sound(other), share)
                target = share * target + (1 - share) * targets(self.split, np.array([other]))[0]
            x = spectrogram(sound, self.front)
            hide(x, 1, self.augment.mask_bins)
            hide(x, 0, self.augment.mask_frames)
            x = normalised(x, self.front)
            if self.augment.noise:
                x = x + torch.rand(x.shape) * np.random.uniform() / 10
                x = torch.roll(x, int(np.random.randint(-10, 10)), 0)
        return x[None], target.float()

    def _sound(self, index: int) -> np.ndarray:
        sound = waveform_of(self.split, index, self.front.rate)
        if self.augment.roll:
            sound = np.roll(sound, np.random.randint(len(sound)))
            sound = (sound * (0.5 + np.random.beta(BETA, BETA))).astype(np.float32)
        return sound


def mix(one: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    """``share`` x one + (1 - ``share``) x other, at the length of the first; its mean is subtracted."""
    same = np.zeros_like(one)
    same[: len(other)] = other[: len(one)]
    mixed = (share * one + (1 - share) * same).astype(np.float32)
    centred: np.ndarray = mixed - mixed.mean()
    return centred


def hide(x: torch.Tensor, axis: int, most: int) -> None:
    """A stretch of U(0, ``most``) places along ``axis`` becomes 0, anywhere (SpecAugment)."""
    width = np.random.uniform() * min(most, x.shape[axis])
    start = int(np.random.uniform() * (x.shape[axis] - width))
    x.narrow(axis, start, int(width)).zero_()


def targets(split: AudioSplit, rows: np.ndarray) -> torch.Tensor:
    """(n, C) float32 with 1 for each label of these recordings."""
    if split.tags is not None:
        return torch.from_numpy(split.tags.present(rows)).float()
    return torch.eye(len(split.classes))[split.labels[rows]]


def balanced(split: AudioSplit, draws: int, compute: Compute, epoch: int) -> np.ndarray:
    """(draws,) recordings of an epoch, rare labels as likely as frequent ones (dataset/audioset/gen_weight.py)."""
    labels = [split.labels[[i]] if split.tags is None else split.tags[i] for i in range(len(split))]
    counts = np.bincount(np.concatenate(labels), minlength=len(split.classes))
    weight = 1000.0 / (counts + 0.01)
    weights = torch.tensor([float(weight[own].sum()) for own in labels], dtype=torch.float64)
    drawn: np.ndarray = torch.multinomial(weights, draws, generator=compute.generator(BALANCE, epoch)).numpy()
    return drawn
