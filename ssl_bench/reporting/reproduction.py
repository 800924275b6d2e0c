"""Which cells of a paper's table can be measured on this machine, and what the others lack. Imports no torch, except where
a data set's own reader does and the data root has files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ssl_bench.backbones.fetch import offline
from ssl_bench.backbones.stored import kind_of, pins_of, stored
from ssl_bench.cards import ModelCard
from ssl_bench.data.builders import load_dataset
from ssl_bench.errors import SslBenchError
from ssl_bench.modality import choose
from ssl_bench.registry import CodeModel, registry
from ssl_bench.reporting.cells import measured
from ssl_bench.reporting.names import keep
from ssl_bench.reporting.published import PublishedNumber, find_table, numbers
from ssl_bench.reporting.verdicts import NOT_COMPARABLE, obstacle
from ssl_bench.results.record import Record

WITHOUT_DATA = frozenset({"throughput"})
"""Protocols that look at no data set (``Protocol.needs_data`` of their code, which is not imported here)."""
State = Literal["measured", "to run", "missing"]


@dataclass(frozen=True)
class Cell:
    """One printed number. ``about``: what a missing one lacks, or what has to be done first."""

    number: PublishedNumber
    state: State
    about: str = ""

    def row(self) -> dict[str, object]:
        """Plain data, the number as it is."""
        number = self.number
        return {
            "row": f"{number.row.method} {number.row.arch}".strip(),
            "column": number.column.label or f"{number.column.protocol} {number.column.dataset}",
            "published": number.value,
            "model": number.model,
            "task": number.task,
            "state": self.state,
            "about": self.about,
        }


@dataclass
class Machine:
    """What is here; every question is answered once. ``force``: cells that have a record are run again."""

    data_root: Path
    records: Iterable[Record]
    force: bool = False
    _data: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._runs: dict[tuple[str, str], list[Record]] = {}
        for record in self.records:
            self._runs.setdefault((record.model, record.task), []).append(record)
        self._pins = pins_of()

    def cell(self, number: PublishedNumber) -> Cell:
        problem = obstacle(number)
        if problem or number.model is None or number.task is None:
            return Cell(number, "missing", problem)
        if not self.force and self._measured(number.model, number.task):
            return Cell(number, "measured")
        problem = self._unsuited(number.model, number.task) or self._no_data(number.task)
        lacking, first = self._weights(number.model)
        problem = "; ".join(filter(None, [lacking, problem]))
        return Cell(number, "missing", problem) if problem else Cell(number, "to run", first)

    def has(self, number: PublishedNumber) -> bool:
        """Whether a measured number compares with this one."""
        return not obstacle(number) and self._measured(number.model or "", number.task or "")

    def _measured(self, model: str, task: str) -> bool:
        """Whether there is a record that a published number compares with."""
        found = self._runs.get((model, task))
        return found is not None and not set(NOT_COMPARABLE) & set(measured(found).marks)

    def _weights(self, model: str) -> tuple[str, str]:
        """What is lacking, and what will be done first; both may be empty."""
        entry = registry().models.get(model)
        card: ModelCard = entry.card if isinstance(entry, CodeModel) else entry
        kind = kind_of(card)
        if kind not in {"url", "by hand"} or stored(card, self._pins) is not None:
            return "", ""
        if kind == "by hand":
            return f"weights are fetched by hand: ssl-bench run --model {model} --weights PATH", ""
        if offline():
            return "weights are not here, and the network is forbidden", ""
        return "", "weights will be fetched"

    def _unsuited(self, model: str, task: str) -> str:
        try:
            choose([model], [task], registry())
        except SslBenchError as error:
            return error.message
        return ""

    def _no_data(self, task: str) -> str:
        card = registry().task(task)
        if card.protocol in WITHOUT_DATA:
            return ""
        if card.dataset not in self._data:
            self._data[card.dataset] = self._look_for(card.dataset)
        return self._data[card.dataset]

    def _look_for(self, dataset: str) -> str:
        try:
            load_dataset(dataset, self.data_root)
        except SslBenchError as error:
            return f"data: {error.message}"
        return ""


def plan(
    machine: Machine, paper: str, table: str | None, models: Sequence[str] = (), tasks: Sequence[str] = ()
) -> list[Cell]:
    """Every printed number of the table (None: the paper's first), in its order; ``models`` and ``tasks``: names and globs to
    keep, all if empty."""
    name = find_table(paper, table)[0] if table is not None else next(iter(registry().papers.get(paper).tables))
    printed = [number for number in numbers(paper) if number.table == name]
    if models:
        wanted = keep("model", [number.model for number in printed if number.model], list(models))
        printed = [number for number in printed if number.model in wanted]
    if tasks:
        wanted = keep("task", [number.task for number in printed if number.task], list(tasks))
        printed = [number for number in printed if number.task in wanted]
    return [machine.cell(number) for number in printed]


def to_run(cells: Iterable[Cell]) -> dict[str, list[str]]:
    """Model -> tasks of the cells to run, each once."""
    found: dict[str, list[str]] = {}
    for cell in cells:
        model, task = cell.number.model, cell.number.task
        if cell.state == "to run" and model is not None and task is not None and task not in found.get(model, []):
            found.setdefault(model, []).append(task)
    return found
