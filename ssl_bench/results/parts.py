"""What a score is made of that is not the share of right answers: saved beside the record, one row for each test image (or
query, or video), so that its interval and the comparison of two models can draw the images again. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np

from ssl_bench.results.bootstrap import bootstrap
from ssl_bench.results.paired import Score
from ssl_bench.results.statistics import Interval

if TYPE_CHECKING:
    from ssl_bench.protocols.metrics.average_precision import Rule
    from ssl_bench.protocols.metrics.detection import Table

LISTS = "scores_"
"""Array of a score that is a mean AP: this, then the rule of the AP."""
FOUND = "detected_"


@dataclass(frozen=True)
class Parts:
    """``arrays``: ``index`` (N,), and those of one of the functions below; all have N rows. The names say how they are put
    together."""

    arrays: dict[str, np.ndarray]

    def score(self) -> Score:
        """In percent, of images drawn so many times each."""
        for name in self.arrays:
            if name.startswith(LISTS):
                return _mean_ap(self.arrays["present"], self.arrays[name], _rule(name))
            if name.startswith(FOUND):
                return _detection_ap(self.arrays, name)
        return _ratios(self.arrays["part"], self.arrays["whole"])

    def interval(self, level: float = 0.95) -> Interval | None:
        """From drawing the images again."""
        return bootstrap(len(self.arrays["index"]), self.score(), level)

    def rows(self, chosen: np.ndarray) -> Parts:
        """Those rows only."""
        return Parts({name: array[chosen] for name, array in self.arrays.items()})


def of_ratios(part: np.ndarray, whole: np.ndarray, index: np.ndarray | None = None) -> Parts:
    """Score: 100 mean_c (sum_i part_ic / sum_i whole_ic), over the c of which there is anything. ``part``, ``whole``: (N,) or
    (N, C). For mIoU intersections and unions; for a mean over images its value in [0, 1] and 1."""
    rows = len(part)
    place = np.arange(rows) if index is None else np.asarray(index)
    return Parts({"index": place, "part": part.reshape(rows, -1), "whole": whole.reshape(rows, -1)})


def of_values(values: np.ndarray, index: np.ndarray | None = None) -> Parts:
    """Score: the mean of (N,) values in [0, 1], times 100; rows that are NaN are left out."""
    known = np.flatnonzero(~np.isnan(values))
    place = np.arange(len(values)) if index is None else np.asarray(index)
    return of_ratios(values[known], np.ones(len(known)), place[known])


def of_lists(present: np.ndarray, scores: np.ndarray, rule: Rule, index: np.ndarray | None = None) -> Parts:
    """Score: mean AP over classes. ``present``: (N, C) with 1, 0, and -1 for what is left out; ``scores``: (N, C)."""
    place = np.arange(len(present)) if index is None else np.asarray(index)
    return Parts({"index": place, "present": present.astype(np.int8), LISTS + rule: scores})


def of_detections(table: Table, thresholds: int) -> Parts:
    """Score: mean AP at the first ``thresholds`` of the overlaps. Every image has as many places as the one with the most
    detections, class -1 where it has fewer; ``order``: its detection's place in the list of the class."""
    images = len(table.positives)
    sizes = np.zeros(images, dtype=np.int64)
    for rows, _ in table.by_class:
        sizes += np.bincount(rows, minlength=images)
    most, used = int(sizes.max(initial=0)), np.zeros(images, dtype=np.int64)
    label, order = np.full((images, most), -1, dtype=np.int32), np.zeros((images, most), dtype=np.int32)
    status = np.zeros((images, most, thresholds), dtype=np.int8)
    for c, (rows, found) in enumerate(table.by_class):
        for place, (image, what) in enumerate(zip(rows, found[:, :thresholds], strict=True)):
            at = image, used[image]
            label[at], order[at], status[at] = c, place, what
            used[image] += 1
    arrays: dict[str, np.ndarray] = {"index": np.arange(images), "objects": table.positives.astype(np.int32)}
    return Parts(arrays | {FOUND + table.rule: label, "order": order, "status": status})


def _rule(name: str) -> Rule:
    return cast("Rule", name.partition("_")[2])


def _ratios(part: np.ndarray, whole: np.ndarray) -> Score:
    def score(counts: np.ndarray) -> float:
        above, below = counts @ part, counts @ whole
        return 100 * float((above[below > 0] / below[below > 0]).mean()) if (below > 0).any() else float("nan")

    return score


def _mean_ap(present: np.ndarray, scores: np.ndarray, rule: Rule) -> Score:
    from ssl_bench.protocols.metrics.average_precision import ap_of_curve

    order = np.argsort(-scores, axis=0, kind="stable")
    ordered = np.take_along_axis(present, order, axis=0)

    def score(counts: np.ndarray) -> float:
        found = []
        for labels, place in zip(ordered.T, order.T, strict=True):
            drawn = np.repeat(labels, counts[place])
            hits = (drawn[drawn >= 0] == 1).cumsum()
            if len(hits) and hits[-1]:
                found.append(ap_of_curve(hits / np.arange(1, len(hits) + 1), hits / hits[-1], rule))
        return 100 * float(np.mean(found)) if found else float("nan")

    return score


def _detection_ap(arrays: dict[str, np.ndarray], name: str) -> Score:
    from ssl_bench.protocols.metrics.detection import Table

    label, order, status = arrays[name], arrays["order"], arrays["status"]
    by_class = []
    for c in range(arrays["objects"].shape[1]):
        rows, places = np.nonzero(label == c)
        best = np.argsort(order[rows, places], kind="stable")
        by_class.append((rows[best], status[rows[best], places[best]]))
    table = Table(arrays["objects"], by_class, _rule(name))
    return partial(table.mean, slice(0, status.shape[2]))
