"""Everything that the pages show, gathered once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from ssl_bench.cards import TaskCard
from ssl_bench.errors import UnknownNameError
from ssl_bench.registry import registry
from ssl_bench.reporting.about import About, about
from ssl_bench.reporting.cells import Cell
from ssl_bench.reporting.grid import Table
from ssl_bench.reporting.published import PublishedNumber, numbers
from ssl_bench.reporting.tables import comparison
from ssl_bench.results.record import Record
from ssl_bench.results.store import latest

Key = TypeVar("Key")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Content:
    """``records``: those that count, oldest first. ``table``: all models by all tasks, in the order of the first page."""

    title: str
    records: Sequence[Record]
    table: Table

    @classmethod
    def gather(cls, records: Iterable[Record], title: str) -> Content:
        kept = sorted(latest(records), key=lambda record: record.provenance.created)
        return cls(title, kept, _ordered(comparison(kept, models=["*"], tasks=["*"])))

    @property
    def updated(self) -> str | None:
        """Day of the newest record."""
        return self.records[-1].provenance.created[:10] if self.records else None

    @cached_property
    def by_model(self) -> dict[str, list[Record]]:
        return grouped((record.model, record) for record in self.records)

    @cached_property
    def by_task(self) -> dict[str, list[Record]]:
        return grouped((record.task, record) for record in self.records)

    @cached_property
    def printed_by_model(self) -> dict[str, list[PublishedNumber]]:
        return grouped((number.model, number) for number in numbers() if number.model)

    @cached_property
    def cells(self) -> dict[tuple[str, str], Cell]:
        return {(cell.model, cell.task): cell for _, _, cell in self.table.filled()}

    @cached_property
    def models(self) -> dict[str, About]:
        """In the order of the table's rows."""
        return {line.label: self._about(line.label) for line in self.table.lines}

    @cached_property
    def tasks(self) -> dict[str, TaskCard]:
        """In the order of the table's columns; a task without a card gets one made of its records."""
        return {column.label: self._task(column.label) for column in self.table.columns}

    def _about(self, model: str) -> About:
        records, printed = self.by_model.get(model), self.printed_by_model.get(model)
        return about(model, records[-1] if records else None, printed[0].row if printed else None)

    def _task(self, name: str) -> TaskCard:
        try:
            return registry().task(name)
        except UnknownNameError:
            last = self.by_task[name][-1] if name in self.by_task else None
            protocol, dataset = (last.protocol, last.dataset.name) if last else ("", name)
            version = last.task_version if last else 1
            return TaskCard(name=name, protocol=protocol, dataset=dataset, version=version)


def grouped(pairs: Iterable[tuple[Key, Item]]) -> dict[Key, list[Item]]:
    """Items by key, in their order."""
    found: dict[Key, list[Item]] = {}
    for key, item in pairs:
        found.setdefault(key, []).append(item)
    return found


def _ordered(table: Table) -> Table:
    """Measured tasks before printed ones, those of one protocol together, those with the most models first; then models:
    measured ones first, best first in the first column."""
    measured = [
        sum(row[j] is not None and _value(row[j]) is not None for row in table.cells) for j in _places(table.columns)
    ]
    of_protocol: dict[str, int] = {}
    protocols = [_protocol(column.label) for column in table.columns]
    for protocol, count in zip(protocols, measured, strict=True):
        of_protocol[protocol] = max(of_protocol.get(protocol, 0), count)

    def place(j: int) -> tuple[bool, int, str, int]:
        return measured[j] == 0, -of_protocol[protocols[j]], protocols[j], -measured[j]

    made = table.only(_places(table.lines), sorted(_places(table.columns), key=place)).best_first()
    have = [any(_value(cell) is not None for cell in row) for row in made.cells]
    return made.only(sorted(_places(made.lines), key=lambda i: not have[i]), _places(made.columns))


def _protocol(task: str) -> str:
    try:
        return registry().task(task).protocol
    except UnknownNameError:
        return task.partition("_")[0]


def _value(cell: Cell | None) -> float | None:
    return None if cell is None else cell.value


def _places(items: Sequence[object]) -> range:
    return range(len(items))
