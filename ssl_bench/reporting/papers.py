"""A paper's table as the paper prints it, every number beside the measured one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ssl_bench.cards import PublishedColumn, PublishedRow, PublishedTable
from ssl_bench.registry import registry
from ssl_bench.reporting.cells import Cell, beside
from ssl_bench.reporting.grid import Column, Line, Table
from ssl_bench.reporting.names import keep
from ssl_bench.reporting.published import PublishedNumber, find_table, numbers
from ssl_bench.reporting.verdicts import summary
from ssl_bench.results.record import Record

IN_BRACKETS = "In brackets: the paper's number, and how far ours is from it."
FACTS = {
    "params_m": "M params",
    "epochs": "epochs",
    "views": "views",
    "pretrain_data": "data",
    "supervision": "supervision",
}


def paper_table(
    runs: Mapping[tuple[str, str], list[Record]],
    paper: str,
    table: str | None,
    models: list[str],
    tasks: list[str],
) -> Table:
    """The paper's own rows, columns, groups and order; ``runs``: (model, task) -> records, ``table``: None is the first.

    ``models`` and ``tasks``: names and globs to keep, all if empty. A row without a model stands for itself only: nothing that
    was measured can be the same.
    """
    content = registry().papers.get(paper)
    name, printed = find_table(paper, table) if table is not None else next(iter(content.tables.items()))
    notes = Notes()
    places = {(id(n.row), id(n.column)): n for n in numbers(paper) if n.table == name}
    columns = tuple(
        Column(c.label or _header(printed, c), c.task, c.metric, c.group, notes.of(c.note, c.differs))
        for c in printed.columns
    )
    lines, cells = [], []
    for row in printed.rows:
        lines.append(_line(row, printed, notes))
        cells.append(tuple(_cell(runs, places.get((id(row), id(column))), notes) for column in printed.columns))
    title = f"{content.paper.title}: {name}" + (f". {printed.title}" if printed.title else "")
    facts = tuple(FACTS[fact] for fact in printed.facts)
    made = Table(title, tuple(lines), columns, tuple(cells), facts, notes=tuple(notes.texts), brackets=True)
    made = _only(made, models, tasks)
    said = summary(cell for _, _, cell in made.filled())
    remarks = [
        IN_BRACKETS,
        said,
        f"All values: {printed.note}." * bool(printed.note),
    ]
    remarks.append(f"Values without a note of their own: {printed.provenance}." * bool(printed.provenance))
    made = replace(made, remarks=tuple(filter(None, remarks)))
    return (_methods_as_columns(made, printed) if printed.methods_as_columns else made).ranked()


class Notes:
    """Numbered notes of a table, each text once."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def of(self, *texts: str) -> tuple[int, ...]:
        """The numbers of these texts, from 1; an empty one has none."""
        for text in texts:
            if text and text not in self.texts:
                self.texts.append(text)
        return tuple(self.texts.index(text) + 1 for text in texts if text)


def _cell(runs: Mapping[tuple[str, str], list[Record]], number: PublishedNumber | None, notes: Notes) -> Cell | None:
    if number is None:
        return None
    found = runs.get((number.model, number.task)) if number.model and number.task else None
    cell = beside(found, [number], number.model or "", number.task or "")
    return None if cell is None else replace(cell, notes=notes.of(number.remark))


def _line(row: PublishedRow, table: PublishedTable, notes: Notes) -> Line:
    facts = tuple(getattr(row, fact) for fact in table.facts)
    return Line(f"{row.method} {row.arch}".strip(), row.model, row.group, facts, notes.of(row.note, row.differs))


def _only(table: Table, models: list[str], tasks: list[str]) -> Table:
    """Rows of these models and columns of these tasks."""
    rows = keep("model", [line.model for line in table.lines if line.model], models) if models else None
    columns = keep("task", [c.task for c in table.columns if c.task], tasks) if tasks else None
    return table.only(
        [i for i, line in enumerate(table.lines) if rows is None or line.model in rows],
        [j for j, column in enumerate(table.columns) if columns is None or column.task in columns],
    )


def _methods_as_columns(table: Table, printed: PublishedTable) -> Table:
    """A row for each architecture and a column for each method, of a table of one column."""
    kept = {line.label: (line, row[0]) for line, row in zip(table.lines, table.cells, strict=True)}
    archs = dict.fromkeys(row.arch for row in printed.rows)
    methods = dict.fromkeys(row.method for row in printed.rows)
    (column,) = table.columns
    found = [[kept.get(f"{method} {arch}") for method in methods] for arch in archs]
    notes = [
        tuple(dict.fromkeys(n for row in found if (at := row[j]) for n in at[0].notes)) for j in range(len(methods))
    ]
    return replace(
        table,
        lines=tuple(Line(arch, None) for arch in archs),
        columns=tuple(replace(column, label=m, notes=notes[j]) for j, m in enumerate(methods)),
        cells=tuple(tuple(at[1] if at else None for at in row) for row in found),
        facts=(),
    )


def _header(table: PublishedTable, column: PublishedColumn) -> str:
    """As much of protocol and data set as distinguishes the columns."""
    protocols, datasets = {c.protocol for c in table.columns}, {c.dataset for c in table.columns}
    if len(datasets) == 1:
        return column.protocol
    return column.dataset if len(protocols) == 1 else f"{column.protocol} {column.dataset}"
