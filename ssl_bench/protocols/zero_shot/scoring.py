"""Class scores of images against labels, by the metric with which each data set is reported (CLIP, table 9; SLIP).

``top1``, ``mean_per_class``; ``top1_top5``: the mean of both (Kinetics); ``roc_auc``: area under the ROC curve of
(score of class 1) - (score of class 0) (Hateful Memes); ``map``: 11-point mean AP of several labels (VOC 2007).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from ssl_bench.errors import DataError, SettingsError
from ssl_bench.protocols.accuracy import accuracy_interval, accuracy_metrics
from ssl_bench.protocols.metrics.average_precision import mean_average_precision
from ssl_bench.protocols.protocol import Outcome, Predictions
from ssl_bench.results.bootstrap import bootstrap
from ssl_bench.results.parts import of_lists
from ssl_bench.results.statistics import Interval

OneLabel = Literal["top1", "mean_per_class", "top1_top5", "roc_auc"]
Metric = Literal["auto", "top1", "mean_per_class", "top1_top5", "roc_auc", "map"]
"""``auto``: the data set's own."""
ROWS = 4096


class Ranks:
    """Scores of (N,) images, taken in some rows at a time: of each the best class, its probability, and the place of the true class.
    ``margin``: (N,) score of the last class minus that of the first."""

    def __init__(self, labels: np.ndarray, classes: int) -> None:
        self.labels, self.classes = labels, classes
        self.prediction = np.zeros(len(labels), dtype=np.int64)
        self.place = np.zeros(len(labels), dtype=np.int64)
        self.probability, self.margin = np.zeros((2, len(labels)), dtype=np.float32)

    def take(self, rows: slice, logits: np.ndarray) -> None:
        """``logits``: (n, C). Of equal scores the first class comes first."""
        labels = self.labels[rows, None]
        own = np.take_along_axis(logits, labels, axis=1)
        before = (logits > own) | ((logits == own) & (np.arange(logits.shape[1]) < labels))
        self.place[rows] = before.sum(axis=1)
        self.prediction[rows] = logits.argmax(axis=1)
        self.probability[rows] = 1 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)
        self.margin[rows] = logits[:, -1] - logits[:, 0]

    def outcome(self, index: np.ndarray, metric: OneLabel) -> Outcome:
        """``index``: (N,) positions of the images in their split."""
        return Outcome(
            self.metrics(metric),
            primary=metric,
            interval=self.interval(metric),
            predictions=Predictions(index, self.labels, self.prediction, self.probability),
        )

    def metrics(self, metric: OneLabel) -> dict[str, float]:
        """Percent. Always ``top1`` and ``mean_per_class``; ``top5`` where there are more than five classes."""
        found = accuracy_metrics(self.labels, self.prediction)
        if self.classes > 5:
            found["top5"] = 100 * float((self.place < 5).mean())
        if metric == "top1_top5":
            if self.classes <= 5:
                raise SettingsError(f"metric = top1_top5: there are {self.classes} classes, and top-5 says nothing.")
            found[metric] = (found["top1"] + found["top5"]) / 2
        elif metric == "roc_auc":
            found[metric] = self._auc(None)
        return found

    def interval(self, metric: OneLabel) -> Interval | None:
        if metric == "roc_auc":
            return bootstrap(len(self.labels), self._auc)
        if metric == "top1_top5":
            each = 50.0 * (self.prediction == self.labels) + 50.0 * (self.place < 5)
            return bootstrap(len(each), lambda counts: float(counts @ each) / len(each))
        return accuracy_interval(self.labels, self.prediction, metric)

    def _auc(self, counts: np.ndarray | None) -> float:
        """Percent; ``counts``: how often each image is drawn, NaN where a class is not drawn."""
        if self.classes != 2 or len(np.unique(self.labels)) != 2:
            raise DataError(
                f"metric = roc_auc: needs test images of two classes; there are {len(np.unique(self.labels))}.",
                "Choose another metric: --set metric=top1",
            )
        return 100 * roc_auc(self.labels == 1, self.margin, counts)


def roc_auc(positive: np.ndarray, score: np.ndarray, counts: np.ndarray | None = None) -> float:
    """P(positive's score > negative's) + P(equal) / 2, in [0, 1], of (N,) images that count ``counts`` times each; NaN
    without positives or negatives."""
    weight = np.ones(len(score)) if counts is None else counts.astype(np.float64)
    place = np.unique(score, return_inverse=True)[1]
    good, bad = (np.bincount(place, weights=weight * part) for part in (positive, ~positive))
    total = good.sum() * bad.sum()
    return float(good @ (bad.cumsum() - bad / 2) / total) if total else float("nan")


def several_labels(present: np.ndarray, scores: np.ndarray, classes: tuple[str, ...]) -> Outcome:
    """11-point mean AP in percent. ``present``: (N, C) with 1, 0, and -1 for what is left out; ``scores``: (N, C)."""
    mean, each = mean_average_precision(present, scores, "points11")
    if mean != mean:
        raise DataError("None of the classes is in any test image.", "Use more of the images.")
    by_class = {name: round(100 * float(ap), 4) for name, ap in zip(classes, each, strict=True) if ap == ap}
    parts = of_lists(present, scores, "points11")
    return Outcome({"map": 100 * mean}, primary="map", interval=parts.interval(), details={"ap": by_class}, parts=parts)
