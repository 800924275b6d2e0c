"""One cell of a comparison: what was measured for a model on a task, what papers print, and how far they are apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Literal

from ssl_bench.cards import TaskCard
from ssl_bench.errors import UnknownNameError
from ssl_bench.registry import registry
from ssl_bench.reporting.published import PublishedNumber, own_first
from ssl_bench.reporting.verdicts import Verdict, judge
from ssl_bench.results.record import Record
from ssl_bench.results.store import latest

Mark = Literal[
    "best", "second", "tied", "stale", "partial", "custom", "best_on_test", "doubtful", "reproduced", "deviates"
]
MEANING: dict[Mark, str] = {
    "best": "best of the column",
    "second": "second best",
    "tied": "no model's whole interval is better: may be the best",
    "stale": "made by an earlier version of the task",
    "partial": "made on some of the images only",
    "custom": "made with settings other than the task's",
    "best_on_test": "hyper-parameters chosen on the test set",
    "doubtful": "printed number is doubtful",
    "reproduced": "published number reproduced: the difference is within the tolerance of the protocol",
    "deviates": "deviates from the published number by more than that",
}
NOT_RANKED: frozenset[Mark] = frozenset({"stale", "partial", "custom"})
LOWER_IS_BETTER = frozenset({"rmse", "abs_rel", "loss", "nll", "ece"})
DIAGNOSTIC = frozenset({"rankme", "lidar", "alignment", "uniformity", "channel_std"})
"""They describe features; more or less of them is not better as such, so nothing is the best."""
MACHINE_DEPENDENT = frozenset({"images_per_second", "peak_memory_mb"})
"""A difference from another machine's number would say nothing about the model."""


@dataclass(frozen=True)
class Cell:
    """Numbers as they are, unformatted; percentages are 0 to 100.

    ``value``: the headline metric, the mean over ``seeds`` runs when there are several, ``std`` their sample standard
    deviation. ``low`` and ``high``: interval of kind ``interval`` (level 0: mean -+ std, no confidence interval).
    ``difference``: ``value`` minus ``published.value``. ``verdict``: whether that is within ``tolerance``; ``reason``: why there
    is none, or what the tolerance consists of. ``notes``: numbers of the table's notes about the published number.
    ``rank``: among the cells of its column, ``2`` or ``1–3`` (``ranks``).
    """

    model: str
    task: str
    metric: str
    value: float | None = None
    std: float | None = None
    seeds: int = 0
    low: float | None = None
    high: float | None = None
    level: float | None = None
    interval: str | None = None
    published: PublishedNumber | None = None
    difference: float | None = None
    verdict: Verdict | None = None
    tolerance: float | None = None
    reason: str = ""
    notes: tuple[int, ...] = ()
    rank: str = ""
    marks: tuple[Mark, ...] = ()
    run_ids: tuple[str, ...] = ()

    def marked(self, *marks: Mark) -> Cell:
        return replace(self, marks=(*self.marks, *(m for m in marks if m not in self.marks)))


def measured(records: Sequence[Record]) -> Cell:
    """The cell of one model and task. Of several records the usual, complete, newest ones count, one for each seed."""
    chosen = comparable(latest(records))
    first = chosen[0]
    values = [record.value for record in chosen]
    cell = Cell(
        first.model,
        first.task,
        first.primary,
        value=fmean(values),
        seeds=len(values),
        marks=flags(first),
        run_ids=tuple(record.run_id for record in chosen),
    )
    if len(values) > 1:
        mean, std = fmean(values), stdev(values)
        return replace(
            cell, std=std, low=mean - std, high=mean + std, level=0.0, interval=f"std over {len(values)} seeds"
        )
    if first.interval is not None:
        facts = first.interval
        return replace(cell, low=facts.low, high=facts.high, level=facts.level, interval=facts.kind)
    return cell


def comparable(records: Sequence[Record]) -> list[Record]:
    """Those records whose mean makes sense: as the best of them in task version, settings, images, metric and size."""

    def kind(record: Record) -> tuple[object, ...]:
        return (record.task_version, record.settings, record.dataset.fingerprint, record.primary, record.partial)

    best = max(records, key=lambda r: (not r.partial, not r.overrides, r.task_version, r.provenance.created))
    return [record for record in records if kind(record) == kind(best)]


def with_published(cell: Cell, number: PublishedNumber | None) -> Cell:
    """The cell beside a printed number; the difference only where both measure the same and machines do not matter."""
    if number is None:
        return cell
    same = number.metric == cell.metric and cell.metric not in MACHINE_DEPENDENT and "partial" not in cell.marks
    difference = cell.value - number.value if same and cell.value is not None else None
    found = judge(cell, number)
    cell = replace(
        cell,
        published=number,
        difference=difference,
        verdict=found.verdict,
        tolerance=found.tolerance,
        reason=found.reason,
    )
    if found.verdict != "not measured":
        cell = cell.marked(found.verdict)
    return cell.marked("doubtful") if number.doubtful else cell


def beside(records: Sequence[Record] | None, printed: Sequence[PublishedNumber], model: str, task: str) -> Cell | None:
    """The measured number beside the first printed one of the same metric, the model's own paper before others; None without both."""
    if not records:
        return with_published(Cell(model, task, printed[0].metric), printed[0]) if printed else None
    cell = measured(records)
    same = [number for number in printed if number.metric == cell.metric]
    return with_published(cell, own_first(model, same)[0] if same else None)


def flags(record: Record) -> tuple[Mark, ...]:
    """What a reader must know before comparing the number."""
    found: list[tuple[Mark, bool]] = [
        ("stale", is_stale(record)),
        ("partial", record.partial),
        ("custom", bool(record.overrides)),
        ("best_on_test", record.selection == "best_on_test"),
    ]
    return tuple(mark for mark, holds in found if holds)


def is_stale(record: Record) -> bool:
    """Whether the task has a newer version than the one that made the record."""
    card = _card(record.task)
    return card is not None and record.task_version < card.version


def _card(task: str) -> TaskCard | None:
    """None for a task whose card is not there any more, or belongs to a plugin that is not installed."""
    try:
        return registry().task(task)
    except UnknownNameError:
        return None


def bounds(cell: Cell) -> tuple[float, float]:
    """The interval of a measured cell."""
    value = math.nan if cell.value is None else cell.value
    return value if cell.low is None else cell.low, value if cell.high is None else cell.high
