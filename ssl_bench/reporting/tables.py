"""Tables of measured numbers beside published ones; ``render`` turns them into text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ssl_bench.reporting.cells import Cell, beside
from ssl_bench.reporting.grid import Column, Line, Table
from ssl_bench.reporting.names import keep, split_names
from ssl_bench.reporting.papers import paper_table as paper_table
from ssl_bench.reporting.published import PublishedNumber, numbers
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
    cells = tuple(tuple(beside(runs.get((m, t)), printed.get((m, t), []), m, t) for t in columns) for m in rows)
    headers = tuple(Column(task, task, _metric([row[j] for row in cells])) for j, task in enumerate(columns))
    made = Table("Measured beside published", tuple(Line(m, m) for m in rows), headers, cells).ranked()
    return made if wanted else made.best_first()


def _index(found: Iterable[PublishedNumber]) -> dict[Pair, list[PublishedNumber]]:
    index: dict[Pair, list[PublishedNumber]] = {}
    for number in found:
        if number.model and number.task:
            index.setdefault((number.model, number.task), []).append(number)
    return index


def _metric(cells: Sequence[Cell | None]) -> str:
    return next((cell.metric for cell in cells if cell is not None), "")
