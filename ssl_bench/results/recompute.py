"""Does what was saved for each test image give the numbers of the record? Knows no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean

import numpy as np

from ssl_bench.protocols.accuracy import accuracy_metrics
from ssl_bench.results.parts import Parts
from ssl_bench.results.record import Record

EXACT = 1e-6
ROUNDED = 1e-3
"""Percentage points. Values of single folds are saved with four decimals."""


def disagreements(record: Record, arrays: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Everything in which predictions (or parts of a score) and record do not fit, in words."""
    rows = len(arrays.get("index", ()))
    if not rows:
        yield "its predictions have no rows"
        return
    index = arrays["index"]
    if len(np.unique(index)) < rows or index.min() < 0:
        yield "its predictions name a test image twice, or with a negative position"
    if "prediction" not in arrays:
        yield from _of_parts(record, arrays)
        return
    facts = record.dataset
    if not facts.n_test - len(facts.skipped) <= rows <= facts.n_test:
        yield f"its predictions are of {rows} test images, the record's are {facts.n_test}"
    if (
        len(arrays["label"]) != rows
        or len(arrays["prediction"]) != rows
        or not 0 <= int(arrays["label"].min()) <= int(arrays["label"].max()) < facts.classes
    ):
        yield f"the labels of its predictions are not classes 0 to {facts.classes - 1}, one for each image"
        return
    yield from _of_classes(record, accuracy_metrics(arrays["label"], arrays["prediction"]))


def _of_classes(record: Record, found: Mapping[str, float]) -> Iterator[str]:
    """``top1`` and ``mean_per_class`` again. Of several draws the predictions are the first's; of folds they are all."""
    draws, folds = record.details.get("top1_per_split"), record.details.get("folds")
    stated = record.metrics.get("top1")
    if draws:
        yield from _differ("the first draw's top1", draws[0], found["top1"], EXACT)
        yield from _differ("top1", stated, fmean(draws), EXACT)
    elif folds:
        yield from _differ("top1", stated, fmean(folds.values()), ROUNDED)
        if not min(folds.values()) - ROUNDED <= found["top1"] <= max(folds.values()) + ROUNDED:
            yield f"its predictions give {found['top1']:.4f} top1, which is between no two of its folds"
    else:
        for metric, value in found.items():
            yield from _differ(metric, record.metrics.get(metric), value, EXACT)


def _of_parts(record: Record, arrays: Mapping[str, np.ndarray]) -> Iterator[str]:
    value = Parts(dict(arrays)).score()(np.ones(len(arrays["index"]), dtype=np.int64))
    yield from _differ(record.primary, record.value, value, EXACT)


def _differ(metric: str, stated: float | None, found: float, tolerance: float) -> Iterator[str]:
    if stated is not None and not abs(stated - found) <= tolerance:
        yield f"it states {stated:.6g} {metric}, but its predictions give {found:.6g}"
