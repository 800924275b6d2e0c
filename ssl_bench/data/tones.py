"""``tones``: procedural sounds, so that tasks on recordings run offline on any machine.

One second at 16 kHz each. The class is how the pitch moves; where it begins, how loud it is, its overtones, when the sound
sets in and how much noise lies below it are drawn independently. Everything follows from the seed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from ssl_bench.cards import DatasetCard
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.recordings import AudioSplit

RATE = 16_000
CLASSES = ("steady", "rising", "falling", "warbling", "beating", "hissing")
LOW, HIGH = 300.0, 1200.0
"""Hertz, where a sound begins."""


class TonesSplit(AudioSplit):
    """Sounds ``start`` to ``start + count - 1`` of a seed; ``folds``: into how many they are dealt in turn (0: none)."""

    classes = CLASSES

    def __init__(self, name: str, seed: int, start: int, count: int, folds: int = 0) -> None:
        self.name = name
        self.keys = [(seed, index) for index in range(start, start + count)]
        self.labels = np.arange(start, start + count) % len(CLASSES)
        if folds:
            self.folds = np.arange(count) // len(CLASSES) % folds + 1

    def waveform(self, index: int) -> tuple[np.ndarray, int]:
        return tone(*self.keys[index]), RATE

    def identity(self, index: int) -> str:
        fold = "" if self.folds is None else f":{self.folds[index]}"
        return hashlib.sha256(self.waveform(index)[0].tobytes()).hexdigest() + fold


def tones(root: Path, card: DatasetCard) -> Dataset:
    """``options``: ``seed``, how many sounds ``train`` and ``test`` have, or with ``folds`` how many there are in all
    (``train``)."""
    seed, train = int(card.options["seed"]), int(card.options["train"])
    if folds := int(card.options.get("folds", 0)):
        both = [TonesSplit(f"{card.name}/{part}", seed, 0, train, folds) for part in ("train", "test")]
        return Dataset(card.name, both[0], both[1], metric=card.metric)
    return Dataset(
        card.name,
        TonesSplit(f"{card.name}/train", seed, 0, train),
        TonesSplit(f"{card.name}/test", seed, train, int(card.options["test"])),
        metric=card.metric,
    )


def tone(seed: int, index: int) -> np.ndarray:
    """(16000,) float32 in [-1, 1]: the sound with this number, of class ``index`` mod 6. With f(t) the pitch::

    sum_h a_h sin(2 pi h integral f),   f constant, doubling, halving or +- 12 % six times a second;
    beating: loudness times |sin| at 4 Hz;   hissing: noise instead of a tone
    """
    random = np.random.RandomState([seed, index, 3])
    kind, t = CLASSES[index % len(CLASSES)], np.arange(RATE) / RATE
    ratio = {"rising": 2.0**t, "falling": 2.0**-t, "warbling": 1 + 0.12 * np.sin(2 * np.pi * 6 * t)}
    pitch = random.uniform(LOW, HIGH) * ratio.get(kind, np.ones(RATE))
    phase = 2 * np.pi * (np.cumsum(pitch) / RATE + random.uniform())
    strength = random.uniform(0.2, 1.0, size=3) / np.arange(1, 4)
    sound = sum(a * np.sin(h * phase) for h, a in enumerate(strength, start=1))
    if kind == "hissing":
        sound = random.normal(0, 0.5, RATE)
    if kind == "beating":
        sound = sound * abs(np.sin(2 * np.pi * 2 * t))
    onset = np.clip((t - random.uniform(0, 0.15)) / 0.02, 0, 1)
    noise = random.normal(0, random.uniform(0.001, 0.02), RATE)
    whole = random.uniform(0.1, 0.5) * onset * sound / (strength.sum()) + noise
    made: np.ndarray = np.clip(whole, -1, 1).astype(np.float32)
    return made
