"""Tables of measured numbers beside published ones; ``render`` turns them into text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from ssl_bench.cards import PublishedTable
from ssl_bench.errors import UnknownNameError
from ssl_bench.registry import registry
from ssl_bench.reporting.cells import Cell, measured, with_published
from ssl_bench.reporting.grid import Column, Line, Table
from ssl_bench.reporting.published import PublishedNumber, find_table, numbers, own_first
from ssl_bench.results.record import Record

Pair = tuple[str, str]
"""Model and task."""


def comparison(
    records: Iterable[Record],
    models: Sequence[str] | None = None,
    tasks: Sequence[str] | None = None,
    published: bool = True,
    paper: str | None = None,
    table: str | None = None,
) -> Table:
    """Models as rows, tasks as columns; with ``paper``, the rows and columns of its ``table`` (default: its first).

    ``models`` and ``tasks``: names, globs or comma lists to keep; models and tasks that have only published numbers are shown
    when they are named. ``published=False`` leaves out what papers print. Rows come best first in the first column, or in the
    order in which models are named.
    """
    runs: dict[Pair, list[Record]] = {}
    for record in records:
        runs.setdefault((record.model, record.task), []).append(record)
    if paper is not None:
        return paper_table(runs, paper, table, split_names(models), split_names(tasks))
    wanted = split_names(models)
    printed = _index(numbers()) if published else {}
    candidates = [*runs, *printed] if wanted else [*runs]
    rows = keep("model", [model for model, _ in candidates], wanted)
    chosen = split_names(tasks)
    measured_tasks = [task for model, task in runs if model in rows]
    printed_tasks = [task for model, task in printed if model in rows] if chosen or not measured_tasks else []
    columns = keep("task", [*measured_tasks, *printed_tasks], chosen)
    cells = tuple(tuple(_cell(runs.get((m, t)), printed.get((m, t), []), m, t) for t in columns) for m in rows)
    headers = tuple(Column(task, task, _metric([row[j] for row in cells])) for j, task in enumerate(columns))
    made = Table("Measured beside published", tuple(Line(m, m) for m in rows), headers, cells).ranked()
    return made if wanted else made.best_first()


def paper_table(
    runs: dict[Pair, list[Record]], paper: str, table: str | None, models: list[str], tasks: list[str]
) -> Table:
    """The paper's own rows and columns, each number beside the measured one where a model and task here are the same."""
    content = registry().papers.get(paper)
    name, printed = find_table(paper, table) if table is not None else next(iter(content.tables.items()))
    places = {(id(n.row), id(n.column)): n for n in numbers(paper)}
    cells = []
    for row in printed.rows:
        line = []
        for column in printed.columns:
            number = places.get((id(row), id(column)))
            # A row without a model here stands for itself only: nothing measured can be the same.
            found = runs.get((row.model, column.task)) if row.model and column.task else None
            line.append(_cell(found, [number] if number else [], row.model or "", column.task or ""))
        cells.append(tuple(line))
    lines = tuple(Line(f"{row.method} {row.arch}", row.model) for row in printed.rows)
    headers = tuple(Column(_header(printed, i), c.task, c.metric) for i, c in enumerate(printed.columns))
    title = f"{content.paper.title}: {name}" + (f". {printed.title}" if printed.title else "")
    rows = keep("model", [line.model for line in lines if line.model], models) if models else None
    columns = keep("task", [c.task for c in headers if c.task], tasks) if tasks else None
    return (
        Table(title, lines, headers, tuple(cells))
        .only(
            [i for i, line in enumerate(lines) if rows is None or line.model in rows],
            [j for j, column in enumerate(headers) if columns is None or column.task in columns],
        )
        .ranked()
    )


def split_names(given: Sequence[str] | None) -> list[str]:
    """``["a,b", "c"]`` -> ``["a", "b", "c"]``."""
    return [name.strip() for item in given or () for name in item.split(",") if name.strip()]


def keep(kind: str, known: Sequence[str], patterns: list[str]) -> list[str]:
    """Known names that match a pattern, without repeats, in the order of the patterns; one that matches none is an error."""
    if not patterns:
        return list(dict.fromkeys(known))
    kept: list[str] = []
    for pattern in patterns:
        matched = [name for name in known if name == pattern or fnmatchcase(name, pattern)]
        if not matched:
            raise not_among(f"{kind} with numbers", pattern, known)
        kept += matched
    return list(dict.fromkeys(kept))


def not_among(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a name that is none of ``known``, which no other verb lists: the hint does."""
    names = sorted(set(known))
    error = UnknownNameError(kind, name, names)
    if "Did you mean" not in (error.hint or ""):
        error.hint = (
            f"There are: {', '.join(names[:20])}{' ...' if len(names) > 20 else ''}" if names else "There are none yet."
        )
    return error


def _cell(records: list[Record] | None, printed: list[PublishedNumber], model: str, task: str) -> Cell | None:
    """The measured number beside the first printed one of the same metric."""
    if not records:
        return with_published(Cell(model, task, printed[0].metric), printed[0]) if printed else None
    cell = measured(records)
    return with_published(cell, next((n for n in own_first(model, printed) if n.metric == cell.metric), None))


def _index(found: Iterable[PublishedNumber]) -> dict[Pair, list[PublishedNumber]]:
    index: dict[Pair, list[PublishedNumber]] = {}
    for number in found:
        if number.model and number.task:
            index.setdefault((number.model, number.task), []).append(number)
    return index


def _header(table: PublishedTable, position: int) -> str:
    """As much of protocol and data set as distinguishes the columns."""
    column = table.columns[position]
    protocols, datasets = {c.protocol for c in table.columns}, {c.dataset for c in table.columns}
    if len(datasets) == 1:
        return column.protocol
    return column.dataset if len(protocols) == 1 else f"{column.protocol} {column.dataset}"


def _metric(cells: Sequence[Cell | None]) -> str:
    return next((cell.metric for cell in cells if cell is not None), "")
