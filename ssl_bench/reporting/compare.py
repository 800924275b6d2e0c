"""Two models on the same test samples, from their saved predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ssl_bench.errors import StoreError
from ssl_bench.reporting.names import keep, not_among
from ssl_bench.results.record import Record
from ssl_bench.results.statistics import mcnemar, paired_bootstrap, paired_difference
from ssl_bench.results.store import Store

AGAIN = "Run both models again on the same data, with the same --limit and --seed."


@dataclass(frozen=True)
class Comparison:
    """``a`` and ``b``: accuracies in percent; ``difference`` = a - b with its paired interval, in percentage points.

    ``only_a``: samples that only A has right. ``p_value``: McNemar's exact test that both are equally accurate.
    """

    task: str
    seed: int
    metric: str
    samples: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    level: float
    interval: str
    only_a: int
    only_b: int
    p_value: float


def compare_models(store: Store, a: str, b: str, tasks: Sequence[str] | None = None) -> list[Comparison]:
    """One comparison for each task and seed that both models have; ``tasks``: names or globs, default all shared ones."""
    runs = {(r.model, r.task, r.seed): r for r in store.latest()}
    for model in (a, b):
        if not any(model == name for name, _, _ in runs):
            raise not_among("measured model", model, (name for name, _, _ in runs))
    shared = [(task, seed) for model, task, seed in runs if model == a and (b, task, seed) in runs]
    chosen = keep("task that both models have", [task for task, _ in shared], list(tasks or []))
    found = []
    for task, seed in shared:
        if task not in chosen:
            continue
        pair = runs[a, task, seed], runs[b, task, seed]
        saved = [store.predictions(record) for record in pair]
        if saved[0] is not None and saved[1] is not None:
            found.append(_compare(pair, saved[0], saved[1]))
        elif tasks:
            raise StoreError(
                f"{task}: there are no saved predictions to compare.", "This protocol scores no single images."
            )
    if not found:
        raise StoreError(f"{a} and {b} share no task and seed with saved predictions.", AGAIN)
    return found


def _compare(pair: tuple[Record, Record], of_a: dict[str, np.ndarray], of_b: dict[str, np.ndarray]) -> Comparison:
    first, second = pair
    where = f"{first.task} seed {first.seed}"
    if first.task_version != second.task_version or first.dataset.fingerprint != second.dataset.fingerprint:
        raise StoreError(
            f"{where}: {first.model} and {second.model} were measured on different images or task versions.", AGAIN
        )
    common, rows_a, rows_b = np.intersect1d(of_a["index"], of_b["index"], assume_unique=True, return_indices=True)
    label = of_a["label"][rows_a]
    if not len(common) or not np.array_equal(label, of_b["label"][rows_b]):
        raise StoreError(f"{where}: the saved predictions are not about the same test images.", AGAIN)
    right_a, right_b = (of_a["prediction"][rows_a] == label), (of_b["prediction"][rows_b] == label)
    per_class = "mean_per_class" in {first.primary, second.primary}
    value_a, value_b = (_accuracy(label, right, per_class) for right in (right_a, right_b))
    only_a, only_b = int(np.sum(right_a & ~right_b)), int(np.sum(right_b & ~right_a))
    interval = paired_bootstrap(label, right_a, right_b) if per_class else paired_difference(only_a, only_b, len(label))
    return Comparison(
        task=first.task,
        seed=first.seed,
        metric="mean_per_class" if per_class else "top1",
        samples=len(label),
        a=value_a,
        b=value_b,
        difference=value_a - value_b,
        low=interval.low,
        high=interval.high,
        level=interval.level,
        interval=interval.kind,
        only_a=only_a,
        only_b=only_b,
        p_value=mcnemar(only_a, only_b),
    )


def _accuracy(label: np.ndarray, right: np.ndarray, per_class: bool) -> float:
    """Percent of all samples, or the mean over classes of each class's percentage."""
    if not per_class:
        return 100 * float(right.mean())
    _, place, count = np.unique(label, return_inverse=True, return_counts=True)
    return 100 * float(np.mean(np.bincount(place, weights=right) / count))
