"""Accuracies of predictions, in percent, and their intervals."""

from __future__ import annotations

import math

import numpy as np

from ssl_bench.results.statistics import Interval, wilson


def accuracy_metrics(labels: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """``top1``, and ``mean_per_class``: the mean over the classes that ``labels`` (N,) has of each class's accuracy."""
    right = prediction == labels
    return {
        "top1": 100 * float(right.mean()),
        "mean_per_class": float(np.mean([100 * r for r in _rates(labels, right)])),
    }


def accuracy_interval(labels: np.ndarray, prediction: np.ndarray, metric: str = "top1") -> Interval:
    """95 % interval of ``top1`` (Wilson), or of ``mean_per_class``: the classes' Wilson intervals combined as
    independent (Zou and Donner 2008, Statistics in Medicine 27, eq. 9)::

        low = m - sqrt(sum_c (m_c - low_c)^2) / C,      high = m + sqrt(sum_c (high_c - m_c)^2) / C
    """
    right = prediction == labels
    if metric == "top1":
        return wilson(int(right.sum()), len(right))
    parts = [wilson(int(right[labels == c].sum()), int((labels == c).sum())) for c in np.unique(labels)]
    rates = [100 * rate for rate in _rates(labels, right)]
    mean = float(np.mean(rates))
    down = math.sqrt(sum((rate - part.low) ** 2 for rate, part in zip(rates, parts, strict=True))) / len(parts)
    up = math.sqrt(sum((part.high - rate) ** 2 for rate, part in zip(rates, parts, strict=True))) / len(parts)
    return Interval(max(0.0, mean - down), min(100.0, mean + up), parts[0].level, "wilson over classes")


def _rates(labels: np.ndarray, right: np.ndarray) -> list[float]:
    """Accuracy of each class that is there, 0 to 1, in class order."""
    total = np.bincount(labels)
    hits = np.bincount(labels, weights=right)
    return [float(rate) for rate in hits[total > 0] / total[total > 0]]
