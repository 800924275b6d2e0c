"""Two models on the same test images by any score that can be computed again on drawn images. Knows no torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ssl_bench.results.bootstrap import RESAMPLES
from ssl_bench.results.statistics import Interval

Score = Callable[[np.ndarray], float]
"""(N,) how often each image is drawn -> the score on that sample, NaN where it has none."""
POWER = 0.8
KIND = "paired, bootstrap"


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
    """Interval and test from Student's t with n - 1 degrees of freedom, n ``images``, so that the two agree; of a mean over
    images it is the paired t-test::

        s = error sqrt(n / (n - 1)),   d  +-  t_(1+level)/2 s,   p = 2 P(t > |d| / s),   smallest = (t_(1+level)/2 + t_power) s

    ``error``: standard deviation of the bootstrap, which divides by n. The p-value is at least 2^(1 - n), that of a sign test
    when all images say the same. One image shows nothing.
    """
    from scipy.stats import t as student

    if images < 2:
        return Paired(difference, Interval(-math.inf, math.inf, level, KIND), 1.0, math.nan)
    s = error * math.sqrt(images / (images - 1))
    t = student(images - 1)
    margin = float(t.ppf(0.5 + level / 2)) * s
    p_value = 1.0 if difference == 0 else 2 * float(t.sf(abs(difference) / s)) if s else 0.0
    return Paired(
        difference,
        Interval(difference - margin, difference + margin, level, KIND),
        max(p_value, 2.0 ** (1 - images)),
        margin + float(t.ppf(POWER)) * s,
    )
