"""Depth scores by both conventions that papers have: over all pixels together, and as means of batches."""

from __future__ import annotations

import numpy as np

from ssl_bench.protocols.metrics.depth import DepthScore
from ssl_bench.results.parts import Parts, of_ratios

SMALLEST = 1e-6
"""Predictions below are raised to it in the means of batches, which have no other limits (MultiMAE)."""
DELTA1 = 4
"""Where :class:`DepthScore` counts the pixels within 1.25."""


class DepthScores:
    """``low`` and ``high`` as in :class:`DepthScore`; ``batch``: test images of a batch whose scores are averaged.

    EPFL-VILAB/MultiMAE (``masked_nyu_metrics``) prints means over batches, without clipping to a range, of ``rel``, ``rms``,
    ``delta1`` to ``delta3`` and of what it calls ``log10``: the root mean square of differences of natural logarithms.
    They are reported as ``rel_batch_mean`` and so on, and the last as ``rms_log_batch_mean``.
    """

    def __init__(self, low: float, high: float, batch: int) -> None:
        self.all, self.low, self.high, self.batch = DepthScore(low, high), low, high, batch
        self.each: list[tuple[float, int]] = []
        self.batches: list[dict[str, float]] = []
        self.current, self.images = DepthScore(SMALLEST, np.inf), 0

    def add(self, truth: np.ndarray, prediction: np.ndarray) -> None:
        """One test image: maps of one shape, in metres; truth 0 where it was not measured."""
        before, pixels = self.all.sums[DELTA1], self.all.pixels
        self.all.add(truth, prediction)
        self.each.append((self.all.sums[DELTA1] - before, self.all.pixels - pixels))
        self.current.add(truth, prediction)
        self.images += 1
        if self.images == self.batch:
            self._close()

    def scores(self) -> dict[str, float]:
        if self.images:
            self._close()
        means = {name: float(np.mean([b[name] for b in self.batches])) for name in (self.batches or [{}])[0]}
        return self.all.scores() | {f"{name}_batch_mean": value for name, value in means.items()}

    def parts(self) -> Parts:
        """Of ``delta1`` over all pixels."""
        hits, pixels = np.array(self.each, dtype=np.float64).reshape(-1, 2).T
        return of_ratios(hits, pixels)

    def _close(self) -> None:
        if self.current.pixels:
            found = self.current.scores()
            self.batches.append({name: found[name] for name in ("rel", "rms", "rms_log", "delta1", "delta2", "delta3")})
        self.current, self.images = DepthScore(SMALLEST, np.inf), 0
