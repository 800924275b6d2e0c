"""Detection by PASCAL VOC's rules, at ten thresholds (facebookresearch/detectron2, pascal_voc_evaluation.py).

Boxes are first and last pixel, counted from 1, rounded to 0.1, scores to three decimals: as the result files have them. A
detection belongs to the object with which it overlaps most, if by more than the threshold; the best of an object is a hit,
the others are errors; those of difficult objects are neither. AP of 2007 takes 11 points, at every threshold; of 2012 the area.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from ssl_bench.data.scenes import Instances
from ssl_bench.protocols.metrics.average_precision import Rule
from ssl_bench.protocols.metrics.detection import THRESHOLDS, Detections, Matches, Table, overlaps

VocRule = Literal["voc2007", "voc2012"]
RULES: dict[VocRule, Rule] = {"voc2007": "points11", "voc2012": "area"}


class VocScore:
    """``add`` every test image once, then ``scores``."""

    def __init__(self, classes: int, rule: VocRule) -> None:
        self.matches = Matches(classes, RULES[rule])

    def add(self, truth: Instances, found: Detections) -> None:
        found = written(found)
        self.matches.add(truth, found, match(truth, found))

    def scores(self) -> dict[str, float]:
        """Percent: ``ap``, ``ap50``, ``ap75``."""
        table = self.table()
        parts = {"ap": slice(None), "ap50": slice(0, 1), "ap75": slice(5, 6)}
        return {name: table.mean(part) for name, part in parts.items()}

    def table(self) -> Table:
        return self.matches.table()


def written(found: Detections) -> Detections:
    """As in VOC's result files: first and last pixel from 1, rounded."""
    boxes = np.round(found.boxes + np.array([1, 1, 0, 0]), 1)
    return Detections(boxes, found.labels, np.round(found.scores, 3))


def match(truth: Instances, found: Detections) -> np.ndarray:
    """(n, 10) int8: 1 hit, 0 error, -1 neither. ``found`` as :func:`written`."""
    status = np.zeros((len(found), len(THRESHOLDS)), dtype=np.int8)
    pixels = truth.boxes + np.array([1, 1, 0, 0])
    for label in np.unique(found.labels):
        objects = np.flatnonzero(truth.labels == label)
        rows = np.flatnonzero(found.labels == label)
        rows = rows[np.argsort(-found.scores[rows], kind="stable")]
        if not len(objects):
            continue
        overlap = overlaps(found.boxes[rows], pixels[objects], pixel=1.0)
        taken = np.zeros((len(objects), len(THRESHOLDS)), dtype=bool)
        for row, of_row in zip(rows, overlap, strict=True):
            best = int(of_row.argmax())
            over = of_row[best] > THRESHOLDS
            if truth.difficult[objects[best]]:
                status[row, over] = -1
            else:
                status[row] = over & ~taken[best]
                taken[best] |= over
    return status
