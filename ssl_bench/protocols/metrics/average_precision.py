"""Average precision by each of the rules that papers use; they differ by more than a point on small lists.

With predictions in descending order of score, precision p and recall r after each of them::

    area      sum over steps of recall of  (max precision at this recall or a higher one)   VOC 2010+, VISSL
    step      sum over steps of recall of  p, without interpolation                         scikit-learn, Audio-MAE
    points11  mean over t = 0, 0.1, ..., 1   of  max{p : r >= t}, 0 if none                 VOC 2007, CLIP
    points101 mean over t = 0, 0.01, ..., 1  of  max{p : r >= t}, 0 if none                 COCO
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Rule = Literal["area", "step", "points11", "points101"]
_POINTS = {"points11": 11, "points101": 101}


def average_precision(positive: np.ndarray, score: np.ndarray, rule: Rule, positives: int | None = None) -> float:
    """AP in [0, 1] of one list. ``positive``: (n,) bool, whether each prediction is right; ``score``: (n,), any scale;
    equal scores keep their order. ``positives``: how many there were to find (of a detector's list; by default those in
    the list). NaN where there is nothing to find.
    """
    total = int(positive.sum()) if positives is None else positives
    if total == 0:
        return float("nan")
    hits = positive[np.argsort(-score, kind="stable")].astype(np.float64)
    found = hits.cumsum()
    return ap_of_curve(found / np.arange(1, len(hits) + 1), found / total, rule)


def ap_of_curve(precision: np.ndarray, recall: np.ndarray, rule: Rule) -> float:
    """AP of (n,) precisions at (n,) rising recalls."""
    if len(recall) == 0:
        return 0.0
    steps = np.diff(recall, prepend=0.0)
    if rule == "step":
        return float((steps * precision).sum())
    best = np.maximum.accumulate(precision[::-1])[::-1]
    if rule == "area":
        return float((steps * best).sum())
    # Rounded, so that a recall of exactly 0.3 counts for the point 0.3.
    where = np.searchsorted(np.round(recall, 12), np.round(np.linspace(0, 1, _POINTS[rule]), 12), side="left")
    return float(np.append(best, 0.0)[where].mean())


def mean_average_precision(present: np.ndarray, scores: np.ndarray, rule: Rule) -> tuple[float, np.ndarray]:
    """Mean over the classes that occur, and (C,) per class (NaN where none does), in [0, 1].

    ``present``: (N, C) with 1, 0 and -1, which is left out of its class's list (VOC's difficult); ``scores``: (N, C).
    """
    each = np.array(
        [
            average_precision(present[known, c] == 1, scores[known, c], rule)
            for c in range(present.shape[1])
            for known in [present[:, c] >= 0]
        ]
    )
    return (float(np.nanmean(each)) if not np.isnan(each).all() else float("nan")), each
