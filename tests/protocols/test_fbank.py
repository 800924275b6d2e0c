"""Kaldi's filter bank against ``torchaudio.compliance.kaldi.fbank`` and a restatement from its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssl_bench.data.tones import tone
from ssl_bench.protocols.audio.fbank import fbank
from ssl_bench.protocols.audio.front_end import FrontEnd, normalised, spectrogram, spectrogram_of, waveform_of

# torchaudio 2.11.0, fbank(htk_compat=True, use_energy=False, window_type="hanning", num_mel_bins=128, dither=0.0,
# frame_shift=10) of the sounds below, each 33rd frame and each 25th bin.
NOISE = [
    [
        -6.511431694030762,
        -4.58553409576416,
        -0.9811580181121826,
        0.9678475260734558,
        2.5819690227508545,
        3.438237190246582,
    ],
    [
        -6.715090274810791,
        -4.741344928741455,
        -1.0880343914031982,
        1.398520588874817,
        1.9325971603393555,
        2.5960984230041504,
    ],
    [
        -5.935768127441406,
        -3.444279670715332,
        -0.321479856967926,
        0.5072329044342041,
        1.9810776710510254,
        3.241103172302246,
    ],
]


def noise() -> torch.Tensor:
    x = torch.from_numpy(np.random.RandomState(0).normal(0, 0.1, 16000).astype(np.float32))
    return x - x.mean()


def restated(x: np.ndarray, rate: int, bins: int) -> np.ndarray:
    """Frame by frame and bin by bin, in double precision."""
    width, shift = rate * 25 // 1000, rate // 100
    size = 1
    while size < width:
        size *= 2
    mel = [1127 * np.log(1 + f / 700) for f in (20.0, rate / 2)]
    centres = [mel[0] + (mel[1] - mel[0]) * i / (bins + 1) for i in range(bins + 2)]
    rows = []
    for start in range(0, len(x) - width + 1, shift):
        frame = x[start : start + width].astype(np.float64)
        frame = frame - frame.mean()
        frame = np.array([frame[n] - 0.97 * frame[max(n - 1, 0)] for n in range(width)])
        frame *= [0.5 - 0.5 * np.cos(2 * np.pi * n / (width - 1)) for n in range(width)]
        power = np.abs(np.fft.fft(frame, size)[: size // 2]) ** 2
        row = []
        for low, middle, high in zip(centres, centres[1:], centres[2:], strict=False):
            energy = 0.0
            for k in range(size // 2):
                m = 1127 * np.log(1 + k * rate / size / 700)
                if low < m < high:
                    energy += power[k] * ((m - low) / (middle - low) if m <= middle else (high - m) / (high - middle))
            row.append(np.log(max(energy, 2.0**-23)))
        rows.append(row)
    return np.array(rows)


def test_it_is_kaldis() -> None:
    found = fbank(noise(), 16000)
    assert found.shape == (98, 128)
    assert np.allclose(found[::33, ::25], NOISE, atol=1e-3)


@pytest.mark.parametrize(("rate", "bins"), [(16000, 40), (8000, 23)])
def test_it_is_its_definition(rate: int, bins: int) -> None:
    x = tone(3, 1)[: rate // 10]
    assert np.allclose(fbank(torch.from_numpy(x), rate, bins), restated(x, rate, bins), atol=2e-3)


def test_silence_is_the_floor_and_a_constant_is_silence() -> None:
    assert torch.allclose(fbank(torch.zeros(16000), 16000), torch.full((98, 128), -15.9424), atol=1e-4)
    assert torch.allclose(fbank(torch.full((16000,), 0.3), 16000), torch.full((98, 128), -15.9424), atol=1e-4)
    assert fbank(torch.zeros(399), 16000).shape == (0, 128)


def test_twice_as_loud_is_log_4_more_and_a_tone_is_where_it_belongs() -> None:
    x = noise()
    heard = fbank(x, 16000) > -15
    # The lowest of 128 bins are narrower than the resolution: two hear nothing, as in Kaldi.
    assert (~heard).any(dim=0).nonzero().flatten().tolist() == [1, 3]
    assert torch.allclose((fbank(2 * x, 16000) - fbank(x, 16000))[heard], torch.tensor(np.log(4)).float(), atol=1e-4)
    sine = torch.sin(2 * torch.pi * 1000 * torch.arange(16000) / 16000)
    mel = 1127 * np.log(1 + np.array([20, 1000, 8000]) / 700)
    expected = (mel[1] - mel[0]) / (mel[2] - mel[0]) * 129 - 1
    assert abs(int(fbank(sine, 16000).mean(0).argmax()) - expected) < 1


class OneSound:
    def __init__(self, samples: np.ndarray, rate: int) -> None:
        self.samples, self.rate = samples, rate

    def waveform(self, index: int) -> tuple[np.ndarray, int]:
        return self.samples, self.rate


def test_the_front_end_pads_cuts_and_divides_by_twice_the_deviation() -> None:
    sound = OneSound(tone(0, 1) + np.float32(0.2), 16000)
    long, short = FrontEnd(frames=128, mean=-5.0, std=3.0), FrontEnd(frames=64, mean=-5.0, std=3.0)
    centred = waveform_of(sound, 0, 16000)
    assert abs(centred.mean()) < 1e-6
    plain = fbank(torch.from_numpy(centred), 16000)
    assert torch.equal(spectrogram(centred, long)[:98], plain)
    assert (spectrogram(centred, long)[98:] == 0).all()
    assert torch.equal(spectrogram(centred, short), plain[:64])
    assert torch.allclose(spectrogram_of(sound, 0, long)[0], (torch.cat([plain, torch.zeros(30, 128)]) + 5) / 6)
    assert torch.allclose(normalised(torch.zeros(2), FrontEnd()), torch.full((2,), 4.2677393 / 9.1379948))


def test_another_rate_is_brought_to_16_kilohertz() -> None:
    t = np.arange(44100) / 44100
    found = waveform_of(OneSound(np.sin(2 * np.pi * 440 * t).astype(np.float32), 44100), 0, 16000)
    assert found.shape == (16000,)
    assert found.dtype == np.float32
    wanted = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert np.abs(found - wanted)[100:-100].max() < 0.01
