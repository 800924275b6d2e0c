"""Kaldi's log mel filter bank (kaldi/src/feat), as ``torchaudio.compliance.kaldi.fbank`` offers it to Audio-MAE.

Each frame of 25 ms, every 10 ms, only whole ones: its mean is subtracted, then ::

    x_n <- x_n - 0.97 x_(n-1)                  (x_(-1) = x_0)
    x_n <- x_n w_n,  w_n = (1 - cos(2 pi n / (N - 1))) / 2
    P_k = |FFT(x padded to a power of two)|^2
    e_m = log max(sum_k T_m(mel(f_k)) P_k, 2^-23)

where the triangle T_m rises from mel centre m - 1 to m and falls to m + 1; the centres are spaced evenly from 20 Hz to half
the rate on the scale mel(f) = 1127 ln(1 + f / 700).
"""

from __future__ import annotations

from functools import lru_cache

import torch

WIDTH, SHIFT, LOWEST = 0.025, 0.010, 20.0
"""Seconds of a frame, seconds between two, and the lowest frequency in Hertz."""
PREEMPHASIS = 0.97
FLOOR = torch.finfo(torch.float32).eps


def fbank(waveform: torch.Tensor, rate: int, bins: int = 128) -> torch.Tensor:
    """(n,) samples, ``rate`` a second -> (frames, ``bins``) float32, 1 + (n - width) // shift of them; (0, ``bins``) of less
    than one frame. No dither, no energy; what Kaldi calls ``htk_compat`` changes nothing without energy."""
    width, shift = int(rate * WIDTH), int(rate * SHIFT)
    if len(waveform) < width:
        return waveform.new_zeros(0, bins)
    frames = waveform.to(torch.float32).unfold(0, width, shift)
    frames = frames - frames.mean(dim=1, keepdim=True)
    before = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
    window = torch.hann_window(width, periodic=False, device=waveform.device)
    padded = 1 << (width - 1).bit_length()
    spectrum = torch.fft.rfft((frames - PREEMPHASIS * before) * window, n=padded).abs().square()
    energy = spectrum[:, :-1] @ _triangles(bins, padded, rate).to(waveform.device).T
    logarithm: torch.Tensor = energy.clamp(min=FLOOR).log()
    return logarithm


@lru_cache
def _triangles(bins: int, padded: int, rate: int) -> torch.Tensor:
    """(bins, padded / 2): the weight of each frequency in each bin; half the rate itself has none."""
    low, high = _mel(torch.tensor(LOWEST)), _mel(torch.tensor(rate / 2))
    step = (high - low) / (bins + 1)
    left = low + torch.arange(bins)[:, None] * step
    mel = _mel(torch.arange(padded // 2) * (rate / padded))
    rise, fall = (mel - left) / step, (left + 2 * step - mel) / step
    return torch.minimum(rise, fall).clamp(min=0)


def _mel(frequency: torch.Tensor) -> torch.Tensor:
    return 1127.0 * torch.log(1.0 + frequency / 700.0)
