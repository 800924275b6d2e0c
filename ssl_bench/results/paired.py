"""Two models on the same test images by any score that can be computed again on drawn images. Knows no torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ssl_bench.results.bootstrap import RESAMPLES
from ssl_bench.results.statistics import Interval

Score = Callable[[np.ndarray], float]
"""(N,) how often each image is drawn -> the score on that sample, NaN where it has none."""
POWER = 0.8


@dataclass(frozen=True)
class Paired:
    """``difference``: first minus second, in the score's unit, with its interval and the two-sided p-value that there is
    none. ``smallest``: the difference that such a test shows with probability 80 %."""

    difference: float
    interval: Interval
    p_value: float
    smallest: float


def paired_scores(images: int, first: Score, second: Score, level: float = 0.95, resamples: int = RESAMPLES) -> Paired:
    """Images are drawn with replacement, both models together, from a fixed seed (Efron and Tibshirani 1993, chapter 8)."""
    rng = np.random.default_rng(0)
    draws = (np.bincount(rng.integers(0, images, images), minlength=images) for _ in range(resamples))
    found = np.array([first(counts) - second(counts) for counts in draws])
    once = np.ones(images, dtype=np.int64)
    return by_standard_error(first(once) - second(once), float(np.nanstd(found, ddof=1)), images, level)


def paired_means_per_class(
    label: np.ndarray, right_a: np.ndarray, right_b: np.ndarray, level: float = 0.95, resamples: int = RESAMPLES
) -> Paired:
    """Of two mean-per-class accuracies, in percentage points. ``label``: (N,) classes; ``right_*``: (N,) whether right.
    Samples are drawn again within each class, both models together, from a fixed seed."""
    rng = np.random.default_rng(0)
    gain = right_a.astype(np.float64) - right_b.astype(np.float64)
    _, place, count = np.unique(label, return_inverse=True, return_counts=True)
    # Each resampled mean depends only on how often -1, 0 and +1 are drawn.
    shares = [np.bincount(place, weights=gain == value) / count for value in (-1, 0, 1)]
    total = np.zeros(resamples)
    for size, parts in zip(count, np.stack(shares, axis=1), strict=True):
        drawn = rng.multinomial(size, parts / parts.sum(), size=resamples)
        total += (drawn[:, 2] - drawn[:, 0]) / size
    difference = float(np.mean(shares[2] - shares[0]))
    return by_standard_error(100 * difference, 100 * float(np.std(total / len(count), ddof=1)), len(label), level)


def by_standard_error(difference: float, error: float, images: int, level: float = 0.95) -> Paired:
    """Interval and test from the normal distribution with standard error s, so that the two agree::

        d  +-  z s,      p = 2 (1 - Phi(|d| / s)),      smallest = (z_(1+level)/2 + z_power) s

    The p-value is at least 2^(1 - images), that of a sign test when all images say the same.
    """
    normal = NormalDist()
    z = normal.inv_cdf(0.5 + level / 2)
    p_value = 1.0 if difference == 0 else math.erfc(abs(difference) / error / math.sqrt(2)) if error else 0.0
    return Paired(
        difference,
        Interval(difference - z * error, difference + z * error, level, "paired, bootstrap"),
        min(1.0, max(p_value, 2.0 ** (1 - images))),
        (z + normal.inv_cdf(POWER)) * error,
    )
