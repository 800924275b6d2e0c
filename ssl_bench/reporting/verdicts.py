"""Is a published number reproduced? And if nothing says so: why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ssl_bench.backbones.stored import kind_of
from ssl_bench.errors import UnknownNameError
from ssl_bench.registry import CodeModel, registry
from ssl_bench.reporting.published import PublishedNumber
from ssl_bench.reporting.tolerance import allowed, tolerances

if TYPE_CHECKING:
    from ssl_bench.reporting.cells import Cell

Verdict = Literal["reproduced", "deviates", "not measured"]
SLACK = 1e-9
"""Differences of printed decimals are not exact: 74.2 - 74.5 is -0.2999..."""
NOT_COMPARABLE = {
    "partial": "measured on some of the images only",
    "stale": "measured by an earlier version of the task",
    "custom": "measured with settings other than the task's",
}


@dataclass(frozen=True)
class Judgement:
    """``reason``: why there is no verdict, or what the tolerance consists of. ``tolerance``: in the metric's own unit."""

    verdict: Verdict
    reason: str
    tolerance: float | None = None


def judge(cell: Cell, number: PublishedNumber) -> Judgement:
    """A measured cell (or one without a value) against the printed number beside it."""
    problem = obstacle(number) or (_not_measured(cell, number) if cell.value is not None else "no record yet")
    if problem or cell.value is None:
        return Judgement("not measured", problem)
    protocol = registry().task(cell.task).protocol
    stated = tolerances().get(protocol)
    parts = stated.of(cell.task) if stated else None
    limit = allowed(parts, number, _deviation(cell), cell.seeds) if parts else None
    if parts is None or limit is None:
        return Judgement("not measured", parts.why if parts else f"no tolerance is stated for the protocol {protocol}")
    near = abs(cell.value - number.value) <= limit + SLACK
    return Judgement("reproduced" if near else "deviates", parts.why, limit)


def obstacle(number: PublishedNumber) -> str:
    """Why nobody can measure the number here; empty: somebody can."""
    known = registry()
    if number.model is None:
        return "no model here is this one"
    if number.task is None:
        return "no task here measures this"
    if number.model not in known.models:
        return "the model has no card"
    entry = known.models.get(number.model)
    card = entry.card if isinstance(entry, CodeModel) else entry
    if kind_of(card) == "unreleased":
        return "its weights were never released"
    if not _exists(number.task):
        return "the task has no card"
    return number.differs


def _exists(task: str) -> bool:
    try:
        registry().task(task)
    except UnknownNameError:
        return False
    return True


def _not_measured(cell: Cell, number: PublishedNumber) -> str:
    """Why a measured value is not comparable; empty: it is."""
    found = next((words for mark, words in NOT_COMPARABLE.items() if mark in cell.marks), "")
    if found or number.metric == cell.metric:
        return found
    return f"the record's number is {cell.metric}, the paper's {number.metric}"


def _deviation(cell: Cell) -> float | None:
    """Over seeds, or over the draws of one record."""
    if cell.std is not None:
        return cell.std
    drawn = cell.level == 0.0 and cell.low is not None and cell.high is not None
    return (cell.high - cell.low) / 2 if drawn else None  # type: ignore[operator]


def summary(cells: Iterable[Cell]) -> str:
    """``Of 25 printed numbers 3 reproduced, 1 deviating, 21 not measured: 20 no record yet; 1 ...``; empty without any."""
    printed = [cell for cell in cells if cell.published is not None]
    count = Counter(cell.verdict for cell in printed)
    reasons = Counter(cell.reason for cell in printed if cell.verdict == "not measured")
    said = [f"{n} {reason}" for reason, n in reasons.most_common()]
    words = f"Of {len(printed)} printed numbers {count['reproduced']} reproduced, {count['deviates']} deviating, "
    words += f"{count['not measured']} not measured" + (f": {'; '.join(said)}" if said else "")
    return f"{words}." if printed else ""
