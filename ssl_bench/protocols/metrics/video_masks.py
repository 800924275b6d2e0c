"""Masks of objects in videos: region similarity J and boundary accuracy F of DAVIS.

    J = |prediction and truth| / |prediction or truth|,  1 where both are empty
    F = 2 P R / (P + R);  P: share of the prediction's boundary within r pixels of the truth's;  R: the other way round

r = ceil(0.008 x the diagonal in pixels). Source: davisvideochallenge/davis2017-evaluation (metrics.py, utils.py).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial import KDTree

TOLERANCE = 0.008
"""Share of the picture's diagonal by which a boundary may be off."""


def region_similarity(prediction: np.ndarray, truth: np.ndarray) -> float:
    """J in [0, 1] of two (H, W) bool masks."""
    union = int((prediction | truth).sum())
    return int((prediction & truth).sum()) / union if union else 1.0


def boundary_accuracy(prediction: np.ndarray, truth: np.ndarray, tolerance: float = TOLERANCE) -> float:
    """F in [0, 1] of two (H, W) bool masks."""
    found, wanted = (np.argwhere(boundary(mask)) for mask in (prediction, truth))
    if not len(found) or not len(wanted):
        # Nothing was to be found and nothing was: 1; else one of precision and recall is 0.
        return float(len(found) == len(wanted))
    radius = math.ceil(tolerance * math.hypot(*truth.shape))
    precision, recall = _near(found, wanted, radius), _near(wanted, found, radius)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels that differ from the one to the right, below, or both; outside the picture all is as at its edge."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, both = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    edges: np.ndarray = (mask != right) | (mask != below) | (mask != both)
    return edges


def over_time(values: np.ndarray) -> tuple[float, float, float]:
    """Of one object's (frames,) J or F: the mean; the recall, the share of frames above 0.5; the decay, the mean of the first
    quarter of the frames minus that of the last (neighbouring quarters share a frame)."""
    ends = np.round(np.linspace(1, len(values), 5) + 1e-10).astype(int) - 1
    first, last = values[: ends[1] + 1], values[ends[3] :]
    return float(values.mean()), float((values > 0.5).mean()), float(first.mean() - last.mean())


def _near(points: np.ndarray, others: np.ndarray, radius: int) -> float:
    """Share of ``points`` with one of ``others`` at most ``radius`` away: what dilation with a disk finds."""
    distance, _ = KDTree(others).query(points)
    return float((distance <= radius).mean())
