"""Intervals, tests, and what a test set can show. Knows no torch. Tests of other scores than accuracy: ``paired``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev


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


def smallest_difference(total: int, discordant: float, level: float = 0.95, power: float = 0.8) -> float:
    """The difference of two accuracies, in percentage points, that McNemar's test on ``total`` samples shows with
    probability ``power`` (Connor 1987, Biometrics 43, eq. 3.1, solved for d).

    ``discordant``: share w of the samples, 0 to 1, on which exactly one of the two is right::

        sqrt(n) d = z_(1+level)/2 sqrt(w) + z_power sqrt(w - d^2)

    d cannot exceed w: where too few samples disagree for that, the answer is the d = w at which enough would. NaN for
    fewer than four samples, which show nothing.
    """
    if total <= 0 or not 0 <= discordant <= 1:
        raise ValueError(f"a share of {discordant} of {total} samples is none")
    normal = NormalDist()
    a, b = normal.inv_cdf(0.5 + level / 2), normal.inv_cdf(power)
    if total < a * a:
        return math.nan
    root = math.sqrt(total * (total + b * b - a * a))
    found = math.sqrt(discordant / total) * (a * total + b * root) / (total + b * b)
    if 0 < found <= discordant:
        return 100 * found
    # d = w = 1 - x^2 makes the equation a quadratic one of x.
    x = (root - a * b) / (total + b * b)
    return 100 * (1 - x * x)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for their number, in the given order: those at most alpha after it are a set in which any
    false discovery has probability at most alpha (Holm 1979, Scandinavian Journal of Statistics 6)::

        p~_(i) = max over j <= i of min(1, (m - j + 1) p_(j)),   p_(1) <= ... <= p_(m)
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for place, position in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[position]))
        adjusted[position] = highest
    return adjusted
