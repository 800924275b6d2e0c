"""Numbers that papers print, tied to the models and tasks here that measure the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ssl_bench.cards import ModelCard, Paper, PublishedColumn, PublishedRow, PublishedTable, PublishedValue
from ssl_bench.errors import SettingsError
from ssl_bench.registry import registry

MEASURED_AS = {"im_per_s": "images_per_second", "knn_top1": "top1"}
"""Metric as a paper's table is written here -> metric in a record, where the two differ."""


@dataclass(frozen=True)
class PublishedNumber:
    """One printed number and its place: ``paper`` (the file's name), table, row and column. Percentages are 0 to 100.

    ``note``: everything that is known about it; ``remark``: what is known about this number alone. A whole number was
    printed without decimals.
    """

    paper: str
    table: str
    row: PublishedRow
    column: PublishedColumn
    value: int | float
    std: float | None
    doubtful: bool
    note: str
    remark: str
    citation: str
    url: str | None

    @property
    def model(self) -> str | None:
        return self.row.model

    @property
    def task(self) -> str | None:
        """The task that measures the same: the row's own, where its authors have a recipe of their own."""
        return self.row.tasks.get(self.column.task, self.column.task) if self.column.task else None

    @property
    def metric(self) -> str:
        """As records name it."""
        return self.column.measured or MEASURED_AS.get(self.column.metric, self.column.metric)

    @property
    def differs(self) -> str:
        """Why weights or task are near, but not those of the paper; empty: they are the same."""
        return self.row.differs or ("" if self.column.task in self.row.tasks else self.column.differs)

    @property
    def source(self) -> str:
        """For people: ``Caron et al. (ICCV 2021), Table 2``."""
        return f"{self.citation}, {self.table}"


def numbers(paper: str | None = None) -> list[PublishedNumber]:
    """All printed numbers (of one paper), in the order of files, tables, rows and columns."""
    papers = registry().papers
    return [number for name in ([paper] if paper else papers) for number in _of_paper(name)]


def lookup(model: str, task: str, metric: str | None = None) -> list[PublishedNumber]:
    """What papers print for a model on a task; the paper that brought the model comes first, then file order."""
    found = [n for n in numbers() if n.model == model and n.task == task and metric in {None, n.metric}]
    return own_first(model, found)


def own_first(model: str, found: list[PublishedNumber]) -> list[PublishedNumber]:
    """The numbers of the model's own paper before those that others print of it."""
    own = method_of(model)
    return sorted(found, key=lambda number: number.paper != own)


def find_table(paper: str, table: str) -> tuple[str, PublishedTable]:
    """A paper's table by its name (``Table 2``) or number (``2``), with its full name."""
    tables = registry().papers.get(paper).tables
    wanted = {table.lower(), f"table {table}".lower()}
    for name, content in tables.items():
        if name.lower() in wanted:
            return name, content
    raise SettingsError(f"Paper {paper} has no table {table!r} here.", f"There are: {', '.join(tables)}")


def has_card(model: str) -> bool:
    """Whether a card or plugin brings this model, so that it can be run."""
    return model in registry().models


def method_of(model: str) -> str:
    """The method of a model's card; without a card, the first part of its name."""
    known = registry()
    if model not in known.models:
        return model.split("_")[0]
    entry = known.models.get(model)
    return (entry if isinstance(entry, ModelCard) else entry.card).method


def _of_paper(name: str) -> Iterator[PublishedNumber]:
    content = registry().papers.get(name)
    for title, table in content.tables.items():
        for row in table.rows:
            for column, cell in zip(table.columns, row.values, strict=True):
                if cell is not None:
                    value = cell if isinstance(cell, PublishedValue) else PublishedValue(value=cell)
                    yield _number(name, content.paper, title, table, row, column, value)


def _number(
    name: str,
    paper: Paper,
    title: str,
    table: PublishedTable,
    row: PublishedRow,
    column: PublishedColumn,
    value: PublishedValue,
) -> PublishedNumber:
    """The note joins what is said about the value (else about the whole table), the column and the row."""
    notes = (table.provenance if value.note is None else value.note, table.note, column.note, row.note)
    return PublishedNumber(
        paper=name,
        table=title,
        row=row,
        column=column,
        value=value.value,
        std=value.std,
        doubtful=value.doubtful,
        note="; ".join(part for part in notes if part),
        remark=value.note or "",
        citation=f"{paper.authors} ({paper.venue})" if paper.venue else paper.authors,
        url=paper.url or (f"https://arxiv.org/abs/{paper.arxiv}" if paper.arxiv else None),
    )
