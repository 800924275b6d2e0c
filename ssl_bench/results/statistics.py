"""Intervals and tests. Knows no torch."""

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
