"""Scores of recordings: accuracy where each has one label, mean average precision where it has several."""

from __future__ import annotations

from typing import Any

import numpy as np

from ssl_bench.protocols.accuracy import accuracy_interval, accuracy_metrics
from ssl_bench.protocols.metrics.average_precision import mean_average_precision
from ssl_bench.protocols.protocol import Outcome, Predictions, Selection
from ssl_bench.results.parts import of_lists


def tagging(
    present: np.ndarray,
    scores: np.ndarray,
    classes: tuple[str, ...],
    details: dict[str, Any],
    selection: Selection = "fixed",
) -> Outcome:
    """``map`` in percent: AP without interpolation (scikit-learn's), mean over the classes that occur in the test."""
    mean, each = mean_average_precision(present, scores, "step")
    ap = {name: round(100 * float(value), 4) for name, value in zip(classes, each, strict=True) if value == value}
    parts = of_lists(present, scores, "step")
    return Outcome(
        {"map": 100 * mean},
        primary="map",
        selection=selection,
        interval=parts.interval(),
        details={**details, "ap": ap, "classes_in_test": len(ap)},
        parts=parts,
    )


def classification(
    folds: list[str],
    parts: list[Predictions],
    details: dict[str, Any],
    selection: Selection = "fixed",
) -> Outcome:
    """``top1``: the mean over the folds of each fold's accuracy (one fold: its accuracy). The interval is Wilson's for all
    test recordings of all folds together."""
    each = {name: accuracy_metrics(part.label, part.prediction) for name, part in zip(folds, parts, strict=True)}
    metrics = {key: float(np.mean([found[key] for found in each.values()])) for key in ("top1", "mean_per_class")}
    joined = Predictions(*(np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])))
    order = np.argsort(joined.index, kind="stable")
    joined = Predictions(*(values[order] for values in vars(joined).values()))
    if len(folds) > 1:
        details = {**details, "folds": {name: round(found["top1"], 4) for name, found in each.items()}}
    return Outcome(
        metrics,
        primary="top1",
        selection=selection,
        interval=accuracy_interval(joined.label, joined.prediction),
        predictions=joined,
        details=details,
    )
