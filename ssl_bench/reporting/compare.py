"""Models in pairs on the same test images, from their saved predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations

import numpy as np

from ssl_bench.errors import SettingsError, StoreError
from ssl_bench.reporting.cells import LOWER_IS_BETTER
from ssl_bench.reporting.names import keep
from ssl_bench.results.paired import Paired, paired_means_per_class, paired_scores
from ssl_bench.results.parts import Parts
from ssl_bench.results.record import Record
from ssl_bench.results.statistics import holm, mcnemar, paired_difference, smallest_difference
from ssl_bench.results.store import Store

AGAIN = "Run both models again on the same data, with the same --limit and --seed."
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Comparison:
    """``a`` and ``b``: scores in percent of ``model_a`` and ``model_b``; ``difference`` = a - b with its paired interval, in
    percentage points.

    ``only_a``: samples that only A has right (None where samples are not right or wrong). ``p_value`` of ``test``: that
    there is no difference; ``p_adjusted``: after Holm, for all comparisons that were asked for together.
    ``smallest``: the difference that this test shows on these samples with probability 80 % at the level of 5 %, at the
    share of samples on which the two disagree; None where no difference can be shown.
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
    only_a: int | None
    only_b: int | None
    p_value: float
    model_a: str
    model_b: str
    test: str
    p_adjusted: float
    smallest: float | None


def compare_models(
    store: Store, models: Sequence[str], tasks: Sequence[str] | None = None, reference: str | None = None
) -> tuple[list[Comparison], list[str]]:
    """One comparison for each pair of models, task and seed that both have, and what was left out and why.

    ``models``: names or globs; all pairs, or each with the ``reference``. ``tasks``: names or globs, default all shared ones.
    :class:`StoreError` where a pair cannot be compared on a task that was named, or none can at all.
    """
    runs = {(r.model, r.task, r.seed): r for r in store.latest()}
    known = sorted({model for model, _, _ in runs})
    chosen = keep("measured model", known, list(models))
    pairs = _pairs(chosen, reference and keep("measured model", known, [reference])[0])
    places = dict.fromkeys((task, seed) for _, task, seed in runs)
    shared = [(pair, place) for place in places for pair in pairs if all((model, *place) in runs for model in pair)]
    if not shared:
        raise StoreError(f"{_names(chosen)} share no task and seed.", AGAIN)
    wanted = keep("task that both models have", [task for _, (task, _) in shared], list(tasks or []))
    load = lru_cache(len(chosen))(lambda model, place: store.predictions(runs[model, *place]))
    found, left_out = [], []
    for (a, b), place in shared:
        if place[0] not in wanted:
            continue
        try:
            found.append(_compare((runs[a, *place], runs[b, *place]), load(a, place), load(b, place)))
        except StoreError as error:
            if tasks or len(shared) == 1:
                raise
            left_out.append(error.message)
    if not found:
        raise StoreError(f"{_names(chosen)} cannot be compared. {left_out[0]}", AGAIN)
    adjusted = holm([one.p_value for one in found])
    return [replace(one, p_adjusted=p) for one, p in zip(found, adjusted, strict=True)], left_out


def _pairs(models: list[str], reference: str | None) -> list[tuple[str, str]]:
    pairs = list(combinations(models, 2)) if reference is None else [(m, reference) for m in models if m != reference]
    if not pairs:
        raise SettingsError(
            f"A comparison needs two models; there is only {models[0]}.", "`ssl-bench table` shows what was measured."
        )
    return pairs


def _names(models: Sequence[str]) -> str:
    return " and ".join(models) if len(models) < 3 else f"The {len(models)} models"


def _compare(pair: tuple[Record, Record], of_a: Arrays | None, of_b: Arrays | None) -> Comparison:
    first, second = pair
    where = f"{first.task} seed {first.seed}"
    if of_a is None or of_b is None:
        raise StoreError(
            f"{where}: there are no saved predictions of {first.model if of_a is None else second.model}.",
            "This protocol scores no single images, or the record is from before they were kept.",
        )
    if first.task_version != second.task_version or first.dataset.fingerprint != second.dataset.fingerprint:
        raise StoreError(
            f"{where}: {first.model} and {second.model} were measured on different images or task versions.", AGAIN
        )
    rows = np.intersect1d(of_a["index"], of_b["index"], assume_unique=True, return_indices=True)[1:]
    known = "label" if "label" in of_a else "present"
    aligned = [
        {name: array[chosen] for name, array in of.items()} for of, chosen in zip((of_a, of_b), rows, strict=True)
    ]
    if (
        not len(rows[0])
        or set(of_a) != set(of_b)
        or (known in of_a and not np.array_equal(aligned[0][known], aligned[1][known]))
    ):
        raise StoreError(f"{where}: the saved predictions are not about the same test images.", AGAIN)
    return (_of_classes if "prediction" in of_a else _of_parts)(first, second, *aligned)


def _of_classes(first: Record, second: Record, of_a: Arrays, of_b: Arrays) -> Comparison:
    """One class an image: accuracy by the counts, mean per class by drawing images again."""
    label = of_a["label"]
    right_a, right_b = (of["prediction"] == label for of in (of_a, of_b))
    only_a, only_b = int(np.sum(right_a & ~right_b)), int(np.sum(right_b & ~right_a))
    per_class = "mean_per_class" in {first.primary, second.primary}
    if per_class:
        found, test = paired_means_per_class(label, right_a, right_b), "bootstrap"
    else:
        found, test = _of_counts(only_a, only_b, len(label)), "McNemar, exact"
    values = [_accuracy(label, right, per_class) for right in (right_a, right_b)]
    metric = "mean_per_class" if per_class else "top1"
    return _comparison(first, second, metric, len(label), values, found, test, only_a, only_b)


def _of_counts(only_a: int, only_b: int, total: int) -> Paired:
    return Paired(
        100 * (only_a - only_b) / total,
        paired_difference(only_a, only_b, total),
        mcnemar(only_a, only_b),
        smallest_difference(total, (only_a + only_b) / total),
    )


def _of_parts(first: Record, second: Record, of_a: Arrays, of_b: Arrays) -> Comparison:
    """Any other score that can be computed again on drawn images."""
    if first.primary in LOWER_IS_BETTER:  # none of the saved ones is; its sign would mislead
        raise StoreError(f"{first.task}: {first.primary} cannot be compared.")
    images = len(of_a["index"])
    score_a, score_b = Parts(of_a).score(), Parts(of_b).score()
    values = [score(np.ones(images, dtype=np.int64)) for score in (score_a, score_b)]
    found = paired_scores(images, score_a, score_b)
    return _comparison(first, second, first.primary, images, values, found, "bootstrap")


def _comparison(
    first: Record,
    second: Record,
    metric: str,
    samples: int,
    values: Sequence[float],
    found: Paired,
    test: str,
    only_a: int | None = None,
    only_b: int | None = None,
) -> Comparison:
    return Comparison(
        task=first.task,
        seed=first.seed,
        metric=metric,
        samples=samples,
        a=values[0],
        b=values[1],
        difference=found.difference,
        low=found.interval.low,
        high=found.interval.high,
        level=found.interval.level,
        interval=found.interval.kind,
        only_a=only_a,
        only_b=only_b,
        p_value=found.p_value,
        model_a=first.model,
        model_b=second.model,
        test=test,
        p_adjusted=found.p_value,
        smallest=None if math.isnan(found.smallest) else found.smallest,
    )


def _accuracy(label: np.ndarray, right: np.ndarray, per_class: bool) -> float:
    """Percent of all samples, or the mean over classes of each class's percentage."""
    if not per_class:
        return 100 * float(right.mean())
    _, place, count = np.unique(label, return_inverse=True, return_counts=True)
    return 100 * float(np.mean(np.bincount(place, weights=right) / count))
