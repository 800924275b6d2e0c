"""Intervals and tests. Knows no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

import numpy as np


@dataclass(frozen=True)
class Interval:
    """``low`` and ``high`` in the metric's own unit; ``kind``: how it was made (wilson, std over splits, bootstrap)."""

    low: float
    high: float
    level: float
    kind: str


def wilson(correct: int, total: int, level: float = 0.95) -> Interval:
    """Wilson score interval of an accuracy, in percent (Wilson 1927, eq. as in Brown, Cai and DasGupta 2001, section 3.1.1)::

    (p + z^2/2n  +-  z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)
    """
    if total <= 0 or not 0 <= correct <= total:
        raise ValueError(f"{correct} of {total} is no proportion")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    p = correct / total
    centre = p + z * z / (2 * total)
    half = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    scale = 100 / (1 + z * z / total)
    return Interval(max(0.0, (centre - half) * scale), min(100.0, (centre + half) * scale), level, "wilson")


def spread(values: Sequence[float]) -> Interval:
    """Mean -+ sample standard deviation over splits or seeds (not a confidence interval: ``level`` is 0)."""
    mean, std = fmean(values), stdev(values) if len(values) > 1 else 0.0
    return Interval(mean - std, mean + std, 0.0, f"std over {len(values)} splits")


def mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided exact p-value that two classifiers are equally accurate on the same samples (McNemar 1947).

    ``only_a``: samples that only the first has right, ``only_b``: only the second. Under the hypothesis ``only_a`` is
    binomial with n = only_a + only_b and p = 1/2; samples on which both agree say nothing. 1 if they agree everywhere.
    """
    if only_a < 0 or only_b < 0:
        raise ValueError(f"{only_a} and {only_b} are no counts")
    if only_a + only_b == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(only_a, only_a + only_b, 0.5).pvalue)


def paired_difference(only_a: int, only_b: int, total: int, level: float = 0.95) -> Interval:
    """Interval of the difference of two accuracies on the same ``total`` samples, in percentage points (first minus second).

    Wald's with half a sample added to each cell of the 2 x 2 table (Agresti and Min 2005)::

        (b - c)/N  +-  z sqrt(b + c - (b - c)^2/N) / N,   b = only_a + 1/2, c = only_b + 1/2, N = total + 2
    """
    if total <= 0 or only_a < 0 or only_b < 0 or only_a + only_b > total:
        raise ValueError(f"{only_a} and {only_b} of {total} are no counts of samples")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    b, c, n = only_a + 0.5, only_b + 0.5, total + 2
    centre = (b - c) / n
    half = z * math.sqrt(b + c - (b - c) ** 2 / n) / n
    return Interval(100 * max(-1.0, centre - half), 100 * min(1.0, centre + half), level, "paired, Agresti-Min")


def paired_bootstrap(
    label: np.ndarray, correct_a: np.ndarray, correct_b: np.ndarray, level: float = 0.95, resamples: int = 2000
) -> Interval:
    """Percentile interval of the difference of two mean-per-class accuracies, in percentage points (first minus second).

    ``label``: (N,) classes; ``correct_*``: (N,) whether right. Samples are drawn again within each class, both models
    together, from a fixed seed.
    """
    rng = np.random.default_rng(0)
    gain = correct_a.astype(np.float64) - correct_b.astype(np.float64)
    classes = np.unique(label)
    total = np.zeros(resamples)
    for one in classes:
        members = gain[label == one]
        # Each resampled mean depends only on how often -1, 0 and +1 are drawn.
        shares = [np.mean(members == value) for value in (-1, 0, 1)]
        drawn = rng.multinomial(len(members), shares, size=resamples)
        total += (drawn[:, 2] - drawn[:, 0]) / len(members)
    low, high = np.quantile(total / len(classes), [0.5 - level / 2, 0.5 + level / 2])
    return Interval(100 * float(low), 100 * float(high), level, "paired, bootstrap")
