"""F1 of several labels an image, overall and per class (multi-label literature; VoLTA and MCT tables)."""

from __future__ import annotations

import numpy as np


def f1_scores(present: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Percent. ``present``: (N, C) with 1, 0, and -1 for what is left out; ``predicted``: (N, C) bool.

    With true positives TP_c, predictions P_c and labels G_c of each class, 0 / 0 = 0::

        OP = sum TP / sum P    OR = sum TP / sum G     overall_f1       = 2 OP OR / (OP + OR)
        CP = mean TP_c / P_c   CR = mean TP_c / G_c    per_class_f1     = 2 CP CR / (CP + CR)
                                                       mean_class_f1    = mean_c 2 TP_c / (P_c + G_c)

    Papers mean either of the last two by "per-class F1"; both are reported.
    """
    known = present >= 0
    truth, guess = (present == 1) & known, predicted.astype(bool) & known
    hit, guesses, labels = ((truth & guess).sum(0), guess.sum(0), truth.sum(0))
    overall = _harmonic(_ratio(hit.sum(), guesses.sum()), _ratio(hit.sum(), labels.sum()))
    per_class = _harmonic(_ratio(hit, guesses).mean(), _ratio(hit, labels).mean())
    return {
        "overall_f1": 100 * float(overall),
        "per_class_f1": 100 * float(per_class),
        "mean_class_f1": 100 * float(_ratio(2 * hit, guesses + labels).mean()),
    }


def top_labels(scores: np.ndarray, count: int) -> np.ndarray:
    """(N, C) bool: the ``count`` labels with the highest scores of each image; of equal ones the first."""
    chosen = np.zeros(scores.shape, dtype=bool)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    np.put_along_axis(chosen, order, True, axis=1)
    return chosen


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    ratio: np.ndarray = np.divide(above, below, out=np.zeros(np.shape(above)), where=np.asarray(below) > 0)
    return ratio


def _harmonic(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return _ratio(np.asarray(2 * a * b), np.asarray(a + b))
