"""What the rules of detection share: detections matched with objects, then average precision.

Every detection of an image is, at each of the ten thresholds of overlap 0.50, 0.55 ... 0.95, a hit (1), an error (0), or
neither (-1: of a difficult object, of a crowd). Matching is within one image; AP is over all of them::

    AP_c(t) = area below the curve of precision and recall of class c, by the rule (metrics/average_precision.py)
    AP = mean of AP_c(t) over t and c;   AP50, AP75: mean over c at one t
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ssl_bench.data.scenes import Instances
from ssl_bench.protocols.metrics.average_precision import Rule, ap_of_curve

THRESHOLDS = np.round(np.arange(0.5, 1.0, 0.05), 2)


@dataclass(frozen=True)
class Detections:
    """What a detector found in one image, best first. ``boxes``: (n, 4) x1 y1 x2 y2; ``labels``: (n,) classes from 0;
    ``scores``: (n,); ``masks``: (n, H, W) bool or None."""

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    masks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass
class Matches:
    """Everything added so far. ``positives``: for each image, (C,) objects to find."""

    classes: int
    rule: Rule
    positives: list[np.ndarray] = field(default_factory=list)
    _status: list[np.ndarray] = field(default_factory=list)
    _labels: list[np.ndarray] = field(default_factory=list)
    _scores: list[np.ndarray] = field(default_factory=list)

    def add(self, truth: Instances, found: Detections, status: np.ndarray) -> None:
        """``status``: (n, 10) as above, for each detection of the image."""
        counted = truth.labels[~(truth.difficult | truth.crowd)]
        self.positives.append(np.bincount(counted, minlength=self.classes))
        self._status.append(status.astype(np.int8))
        self._labels.append(found.labels)
        self._scores.append(found.scores)

    def table(self) -> Table:
        images = np.repeat(np.arange(len(self._labels)), [len(labels) for labels in self._labels])
        labels, scores = np.concatenate(self._labels), np.concatenate(self._scores)
        status = np.concatenate(self._status)
        by_class = []
        for c in range(self.classes):
            rows = np.flatnonzero(labels == c)
            rows = rows[np.argsort(-scores[rows], kind="stable")]
            by_class.append((images[rows], status[rows]))
        return Table(np.stack(self.positives), by_class, self.rule)


@dataclass(frozen=True)
class Table:
    """``positives``: (N, C). ``by_class``: for each class, image and status of its detections over all images, best first."""

    positives: np.ndarray
    by_class: list[tuple[np.ndarray, np.ndarray]]
    rule: Rule

    def ap(self, thresholds: slice = slice(None), counts: np.ndarray | None = None) -> np.ndarray:
        """(C, T) in [0, 1]; NaN for classes without objects. ``counts``: (N,) how often each image is drawn; once by default."""
        weights = np.ones(len(self.positives)) if counts is None else counts.astype(np.float64)
        totals = weights @ self.positives
        width = len(THRESHOLDS[thresholds])
        return np.array(
            [
                _ap(status[:, thresholds], weights[images], total, self.rule) if total else np.full(width, np.nan)
                for (images, status), total in zip(self.by_class, totals, strict=True)
            ]
        )

    def mean(self, thresholds: slice = slice(None), counts: np.ndarray | None = None) -> float:
        """Percent; NaN if no class has objects."""
        ap = self.ap(thresholds, counts)
        return 100 * float(np.nanmean(ap)) if not np.isnan(ap).all() else float("nan")


def _ap(status: np.ndarray, weights: np.ndarray, total: float, rule: Rule) -> np.ndarray:
    """(T,) of one class; ``status``: (n, T)."""
    hits = ((status == 1) * weights[:, None]).cumsum(0)
    counted = ((status >= 0) * weights[:, None]).cumsum(0)
    precision = np.divide(hits, counted, out=np.zeros_like(hits), where=counted > 0)
    return np.array([ap_of_curve(precision[:, t], hits[:, t] / total, rule) for t in range(status.shape[1])])


def overlaps(a: np.ndarray, b: np.ndarray, crowd: np.ndarray | None = None, pixel: float = 0.0) -> np.ndarray:
    """(n, m) intersection over union of boxes (n, 4) and (m, 4). ``pixel``: 1 where x2 and y2 are the last pixels and not
    edges. Over the area of a alone where b is a ``crowd``."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    inside = np.clip(high - low + pixel, 0, None).prod(2)
    area_a, area_b = ((x[:, 2:] - x[:, :2] + pixel).prod(1) for x in (a, b))
    union = area_a[:, None] + area_b[None] - inside
    if crowd is not None:
        union = np.where(crowd[None], area_a[:, None], union)
    found: np.ndarray = np.divide(inside, union, out=np.zeros_like(inside), where=union > 0)
    return found
