"""``digits`` and ``placed_digits``: real images that come with a dependency, for runs without any data on disk.

scikit-learn ships 1,797 scanned digits of 8 x 8 pixels with 17 grey levels (UCI "Optical Recognition of Handwritten
Digits", 43 writers). ``digits`` shows them as they are; ``placed_digits`` puts each on a 32 x 32 canvas at a random
place, in a random size and with random grey levels, so that raw pixels no longer solve the task.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from ssl_bench.cards import DatasetCard
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.splits import ArraySplit

CANVAS = 32
SIZES = (16, 24)
"""Smallest and largest side of a placed digit in pixels, both included."""
BACKGROUND = (0, 60)
CONTRAST = (100, 195)
"""Grey level of the paper, and how much brighter the ink is, in 0..255; the sum stays in range."""


TEST_RANKS = (2, 5, 9, 12, 16)
"""Of every 18 successive scans of a class, these are test images."""


def digits(root: Path, card: DatasetCard) -> Dataset:
    """The scans as (8, 8, 3) uint8: 1,300 train, 497 test."""
    ink, labels = _scans()
    held = _held_out(labels)
    grey = np.rint(ink * 255).astype(np.uint8)
    return Dataset(card.name, _split(grey[~held], labels[~held]), _split(grey[held], labels[held]), metric=card.metric)


def placed_digits(root: Path, card: DatasetCard) -> Dataset:
    """(32, 32, 3) uint8: each training scan placed ``options.copies`` times, each test scan once; ``options.seed``.

    With 4 copies there are 5,200 training and 497 test images. Weighted k-NN (k 20) has 76 % on their raw pixels.
    """
    ink, labels = _scans()
    held = _held_out(labels)
    # RandomState's stream is frozen for all versions of NumPy; default_rng's is not.
    random = np.random.RandomState(card.options.get("seed", 0))
    train = np.repeat(np.flatnonzero(~held), card.options.get("copies", 4))
    test = np.flatnonzero(held)
    pixels = {
        name: np.stack([_place(ink[i], random) for i in scans]) for name, scans in (("train", train), ("test", test))
    }
    return Dataset(
        card.name, _split(pixels["train"], labels[train]), _split(pixels["test"], labels[test]), metric=card.metric
    )


def _scans() -> tuple[np.ndarray, np.ndarray]:
    """(1797, 8, 8) ink in [0, 1] and (1797,) labels."""
    scans = load_digits()
    return scans.images.astype(np.float32) / 16, scans.target.astype(np.int64)


def _place(ink: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """(8, 8) in [0, 1] -> (32, 32) uint8: canvas = background + contrast * ink."""
    side = random.randint(SIZES[0], SIZES[1] + 1)
    top, left = random.randint(0, CANVAS - side + 1, size=2)
    background, contrast = random.randint(*BACKGROUND), random.randint(*CONTRAST)
    scaled = Image.fromarray(np.rint(ink * 255).astype(np.uint8)).resize((side, side), Image.Resampling.BILINEAR)
    canvas = np.zeros((CANVAS, CANVAS), dtype=np.float32)
    canvas[top : top + side, left : left + side] = np.asarray(scaled, dtype=np.float32) / 255
    return np.rint(background + contrast * canvas).astype(np.uint8)


def _held_out(labels: np.ndarray) -> np.ndarray:
    """(N,) bool, the test scans. A rule instead of a draw: stratified, and spread over the writers, who come in turn."""
    rank = np.zeros(len(labels), dtype=np.int64)
    for label in range(10):
        members = np.flatnonzero(labels == label)
        rank[members] = np.arange(len(members))
    return np.isin(rank % 18, TEST_RANKS)


def _split(grey: np.ndarray, labels: np.ndarray) -> ArraySplit:
    return ArraySplit(np.repeat(grey[..., None], 3, axis=3), labels, [str(digit) for digit in range(10)])
