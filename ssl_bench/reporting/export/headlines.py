"""What is handed to others: for each model and task one number, the mean over seeds, with the records behind it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ssl_bench.cards import DatasetCard
from ssl_bench.errors import UnknownNameError
from ssl_bench.registry import registry
from ssl_bench.reporting.cells import Cell, measured
from ssl_bench.results.record import Record


@dataclass(frozen=True)
class Headline:
    """``record``: the newest of those that ``cell`` is the mean of."""

    cell: Cell
    record: Record

    @property
    def variant(self) -> str:
        """The task's name without its data set: ``low_shot_1``."""
        return self.record.task.removesuffix(f"_{self.record.dataset.name}")

    @property
    def summary(self) -> str:
        """What the task does, in a line; empty where its card says nothing."""
        try:
            return registry().task(self.record.task).summary or ""
        except UnknownNameError:
            return ""


def headlines(records: Iterable[Record]) -> list[Headline]:
    """In the order in which the pairs of model and task first appear."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.model, record.task), []).append(record)
    made = []
    for group in groups.values():
        cell = measured(group)
        made.append(Headline(cell, next(r for r in group if r.run_id == cell.run_ids[-1])))
    return made


def title_of(dataset: str) -> str:
    """What people call a data set; its name where nobody says."""
    try:
        card = registry().dataset(dataset)
    except UnknownNameError:
        return dataset
    return card.title.split(";")[0] if isinstance(card, DatasetCard) else dataset
