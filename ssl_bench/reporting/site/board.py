"""The first page: every model by every task, sortable and filterable; its data are in it as JSON once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from ssl_bench.reporting.about import About
from ssl_bench.reporting.cells import LOWER_IS_BETTER, NOT_RANKED, Cell
from ssl_bench.reporting.grid import Column
from ssl_bench.reporting.render import finite
from ssl_bench.reporting.site.content import Content
from ssl_bench.reporting.site.pages import Pages, address
from ssl_bench.reporting.text import legend, words


def write_board(content: Content, pages: Pages) -> None:
    """``index.html``."""
    table, models = content.table, list(content.models.values())
    pages.write(
        "index.html",
        "index.html.j2",
        counts={
            "models": len(content.by_model),
            "tasks": len(content.by_task),
            "records": len(content.records),
        },
        columns=[_column(column, content) for column in table.columns],
        rows=list(zip(models, ([_cell(cell) for cell in without_end(row, bool)] for row in table.cells), strict=True)),
        choices=_choices(models, content),
        legend=legend(cell for _, _, cell in table.filled()),
        data=_data(content, models),
    )


def _column(column: Column, content: Content) -> dict[str, Any]:
    card = content.tasks[column.label]
    return {"task": card.name, "metric": column.metric, "protocol": card.protocol, "summary": card.summary or ""}


def _cell(cell: Cell | None) -> dict[str, Any] | None:
    if cell is None:
        return None
    said = words(cell)
    faded, best = NOT_RANKED & set(cell.marks), said.emphasis == "best"
    return {
        "value": said.value,
        "second": said.emphasis == "second",
        "symbols": said.symbols,
        "published": said.published,
        # Of one letter: a page of 30,000 cells has no room for more.
        "kind": "p" if not said.value else "f" if faded else "b" if best else "",
        "title": cell.published.source if cell.published else "",
    }


def _choices(models: Sequence[About], content: Content) -> dict[str, list[str]]:
    """What the filters offer."""
    cards = content.tasks.values()
    return {
        "family": _sorted(model.method_family for model in models),
        "arch": _sorted(model.family for model in models),
        "pretrained": _sorted(model.pretrained_on for model in models),
        "licence": _sorted(model.licence for model in models),
        "protocol": _sorted(card.protocol for card in cards),
        "dataset": _sorted(card.dataset for card in cards),
    }


def _sorted(names: Any) -> list[str]:
    return sorted({name for name in names if name}, key=str.lower)


def _data(content: Content, models: Sequence[About]) -> dict[str, Any]:
    """``measured[row][column]``: headline value or null, to four decimals, rows as long as they have values; a model has the
    fields that are known; ``published[row]`` (column -> value) and ``faded[row]`` (columns): only where there are some."""
    cells = content.table.cells
    printed = [{j: cell.published.value for j, cell in enumerate(row) if cell and cell.published} for row in cells]
    faded = [[j for j, cell in enumerate(row) if cell and NOT_RANKED & set(cell.marks)] for row in cells]
    data = {
        "title": content.title,
        "updated": content.updated,
        "models": [{key: said for key, said in asdict(model).items() if said is not None} for model in models],
        "tasks": [_task(column, content) for column in content.table.columns],
        "measured": [[_rounded(cell) for cell in without_end(row, _measured)] for row in cells],
        "published": {i: row for i, row in enumerate(printed) if row},
        "faded": {i: row for i, row in enumerate(faded) if row},
    }
    made: dict[str, Any] = finite(data)
    return made


def _task(column: Column, content: Content) -> dict[str, Any]:
    card = content.tasks[column.label]
    return {
        "task": card.name,
        "metric": column.metric,
        "protocol": card.protocol,
        "dataset": card.dataset,
        "version": card.version,
        "lower_is_better": column.metric in LOWER_IS_BETTER,
        "page": address("tasks", card.name),
    }


def without_end(row: Sequence[Cell | None], wanted: Callable[[Cell | None], bool]) -> Sequence[Cell | None]:
    """As far as the last cell that is wanted: of a thousand rows the empty ends would be a third of the page."""
    return row[: max((j for j, cell in enumerate(row) if wanted(cell)), default=-1) + 1]


def _measured(cell: Cell | None) -> bool:
    return cell is not None and cell.value is not None


def _rounded(cell: Cell | None) -> float | None:
    return None if cell is None or cell.value is None else round(cell.value, 4)
