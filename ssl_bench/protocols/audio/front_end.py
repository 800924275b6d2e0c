"""Sound -> spectrogram, as Audio-MAE's networks take it (facebookresearch/AudioMAE dataset.py).

One channel at ``rate``; the mean is subtracted; Kaldi's log mel filter bank; zeros added or the end cut off to ``frames``;
then (x - mean) / (2 std): divided by TWICE the standard deviation.
"""

from __future__ import annotations

from math import gcd

import numpy as np
import torch
from pydantic import Field
from scipy.signal import resample_poly

from ssl_bench.data.recordings import AudioSplit
from ssl_bench.protocols.audio.fbank import fbank
from ssl_bench.settings import Settings


class FrontEnd(Settings):
    """``frames`` of ten milliseconds with ``bins`` frequencies; ``mean`` and ``std`` of the data set's training part before
    normalisation (the defaults are AudioSet's)."""

    rate: int = Field(16_000, ge=1000)
    bins: int = Field(128, ge=2)
    frames: int = Field(1024, ge=2)
    mean: float = -4.2677393
    std: float = Field(4.5689974, gt=0)


def waveform_of(split: AudioSplit, index: int, rate: int) -> np.ndarray:
    """(n,) float32 at ``rate``, its mean subtracted. Resampled with scipy's polyphase filter; the authors' files were
    resampled beforehand, by a filter that they do not name."""
    samples, own = split.waveform(index)
    if own != rate:
        common = gcd(own, rate)
        samples = resample_poly(samples, rate // common, own // common).astype(np.float32)
    centred: np.ndarray = samples - samples.mean()
    return centred


def spectrogram(waveform: np.ndarray, numbers: FrontEnd) -> torch.Tensor:
    """(``frames``, ``bins``) float32, not yet normalised: what is missing at the end is 0."""
    bank = fbank(torch.from_numpy(waveform), numbers.rate, numbers.bins)[: numbers.frames]
    padded: torch.Tensor = torch.nn.functional.pad(bank, (0, 0, 0, numbers.frames - len(bank)))
    return padded


def normalised(spectrograms: torch.Tensor, numbers: FrontEnd) -> torch.Tensor:
    return (spectrograms - numbers.mean) / (2 * numbers.std)


def spectrogram_of(split: AudioSplit, index: int, numbers: FrontEnd) -> torch.Tensor:
    """(1, ``frames``, ``bins``): one recording as the network takes it."""
    return normalised(spectrogram(waveform_of(split, index, numbers.rate), numbers), numbers)[None]
