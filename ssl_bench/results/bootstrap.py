"""Intervals of scores that are no means over images (mIoU, mAP): draw the test images again. Knows no torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ssl_bench.results.statistics import Interval

RESAMPLES = 1000


def bootstrap(
    images: int, score: Callable[[np.ndarray], float], level: float = 0.95, resamples: int = RESAMPLES
) -> Interval | None:
    """Percentile interval of ``score`` (Efron 1979). ``score``: (images,) how often each image is drawn -> the score on
    that sample, NaN where it has none. The draws come from a fixed seed. None with fewer than two images."""
    if images < 2:
        return None
    rng = np.random.default_rng(0)
    draws = (np.bincount(rng.integers(0, images, images), minlength=images) for _ in range(resamples))
    found = np.array([score(counts) for counts in draws])
    if np.isnan(found).all():
        return None
    low, high = np.nanquantile(found, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(float(low), float(high), level, "bootstrap over images")
