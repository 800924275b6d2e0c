"""Depth estimation, over all measured pixels of the whole test set (Eigen et al. 2014).

With prediction d and truth g in metres::

    rel = mean |d - g| / g      rms = sqrt(mean (d - g)^2)      log10 = mean |log10 d - log10 g|
    rms_log = sqrt(mean (ln d - ln g)^2)
    delta_k = share of pixels with max(d / g, g / d) < 1.25^k,  k = 1, 2, 3
"""

from __future__ import annotations

import numpy as np


class DepthScore:
    """Sums over everything added so far. ``low`` and ``high``: the range in metres in which truth counts and to which
    predictions are clipped (NYUv2: 0.001 to 10)."""

    def __init__(self, low: float = 1e-3, high: float = 10.0) -> None:
        self.low, self.high = low, high
        self.sums = np.zeros(7)
        self.pixels = 0

    def add(self, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Maps of one shape, in metres; truth 0 where it was not measured."""
        known = (truth > self.low) & (truth <= self.high)
        g, d = truth[known].astype(np.float64), np.clip(prediction[known].astype(np.float64), self.low, self.high)
        ratio, error = np.maximum(d / g, g / d), d - g
        logs = np.log(d) - np.log(g)
        deltas = [(ratio < 1.25**k).sum() for k in (1, 2, 3)]
        sums = [(abs(error) / g).sum(), (error**2).sum(), (abs(logs) / np.log(10)).sum(), (logs**2).sum()]
        self.sums += np.array([*sums, *deltas])
        self.pixels += int(known.sum())

    def scores(self) -> dict[str, float]:
        """``rel``, ``rms`` (metres), ``log10``, ``rms_log``; ``delta1`` to ``delta3`` in percent."""
        rel, square, log10, square_log, *deltas = self.sums / max(self.pixels, 1)
        found = {"rel": rel, "rms": square**0.5, "log10": log10, "rms_log": square_log**0.5}
        found |= {f"delta{k}": 100 * value for k, value in enumerate(deltas, start=1)}
        return {name: float(value) if self.pixels else float("nan") for name, value in found.items()}
