"""The leaderboard: one page, one file, no request to anywhere; sortable and filterable, readable without a script too."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ssl_bench._version import __version__
from ssl_bench.cards import TaskCard
from ssl_bench.errors import UnknownNameError
from ssl_bench.registry import registry
from ssl_bench.reporting.cells import NOT_RANKED, Cell
from ssl_bench.reporting.grid import Table
from ssl_bench.reporting.model_facts import facts, family, web_address
from ssl_bench.reporting.published import PublishedNumber, numbers
from ssl_bench.reporting.render import finite
from ssl_bench.reporting.tables import comparison
from ssl_bench.reporting.text import legend, words
from ssl_bench.results.atomic import write_text
from ssl_bench.results.record import Record
from ssl_bench.results.store import latest

TITLE = "Self-supervised vision leaderboard"


def write_leaderboard(records: Sequence[Record], out: Path, title: str = TITLE) -> Path:
    """Write ``out/index.html`` with all measured numbers beside published ones, and its charts to ``out/figures``.

    Everything that the page shows is in it, also as JSON (``<script type="application/json" id="data">``). Returns the page.
    """
    records = sorted(latest(records), key=lambda record: record.provenance.created)
    chart = _charts(records, out / "figures") if records else None
    table = _everything(records)
    write_text(out / "index.html", _page(table, records, chart, title))
    return out / "index.html"


def _everything(records: Sequence[Record]) -> Table:
    """All measured and all published numbers; measured tasks first, then models best first."""
    whole = comparison(records, models=["*"], tasks=["*"])
    measured = {record.task for record in records}
    tasks = sorted(range(len(whole.columns)), key=lambda j: whole.columns[j].task not in measured)
    ordered = whole.only(range(len(whole.lines)), tasks).best_first()
    have = {record.model for record in records}
    models = sorted(range(len(ordered.lines)), key=lambda i: ordered.lines[i].model not in have)
    return ordered.only(models, range(len(ordered.columns)))


def _charts(records: Sequence[Record], folder: Path) -> str | None:
    """Save the charts as pictures; the scatter chart also for the page. None where fewer than two sizes are known."""
    from ssl_bench.reporting.charts import bar_chart, save, scatter_chart, to_svg
    from ssl_bench.reporting.points import points

    shown = points(records)
    save(to_svg(bar_chart(shown)), folder / "bars.png", folder / "bars.svg")
    if len({point.model for point in shown if point.parameters_m}) < 2:
        return None
    drawing = to_svg(scatter_chart(shown))
    save(drawing, folder / "scatter.png", folder / "scatter.svg")
    return drawing


def _page(table: Table, records: Sequence[Record], chart: str | None, title: str) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    templates = Environment(
        loader=PackageLoader("ssl_bench.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    folder = resources.files("ssl_bench.reporting") / "templates"
    models = _models(table, records)
    rows = [_row(line.label, models[line.label], table.cells[i]) for i, line in enumerate(table.lines)]
    return templates.get_template("leaderboard.html.j2").render(
        title=title,
        version=__version__,
        updated=records[-1].provenance.created[:10] if records else None,
        counts={
            "models": len({r.model for r in records}),
            "tasks": len({r.task for r in records}),
            "records": len(records),
        },
        columns=[_column(column.label, column.metric, records) for column in table.columns],
        rows=rows,
        methods=sorted({row["method"] for row in rows}, key=str.lower),
        families=sorted({row["family"] for row in rows}),
        papers=_papers(),
        legend=legend(cell for _, _, cell in table.filled()),
        data=finite({"title": title, "version": __version__, "models": models, "results": table.rows()}),
        chart=Markup(chart) if chart else None,
        style=Markup((folder / "leaderboard.css").read_text(encoding="utf-8")),
        script=Markup((folder / "leaderboard.js").read_text(encoding="utf-8")),
    )


def _models(table: Table, records: Sequence[Record]) -> dict[str, dict[str, Any]]:
    printed: dict[str | None, list[PublishedNumber]] = {}
    for number in numbers():
        printed.setdefault(number.model, []).append(number)
    return {
        line.label: facts(line.label, [r for r in records if r.model == line.label], printed.get(line.label, []))
        for line in table.lines
    }


def _column(task: str, metric: str, records: Sequence[Record]) -> dict[str, Any]:
    card = _task(task)
    return {
        "task": task,
        "metric": metric,
        "protocol": card.protocol if card else task.rsplit("_", 1)[0],
        "dataset": card.dataset if card else task.rsplit("_", 1)[-1],
        "summary": (card.summary if card else None) or "",
        "measured": any(record.task == task for record in records),
    }


def _task(name: str) -> TaskCard | None:
    try:
        return registry().task(name)
    except UnknownNameError:
        return None


def _row(label: str, about: dict[str, Any], cells: Sequence[Cell | None]) -> dict[str, Any]:
    return {
        "model": label,
        "method": about["method"],
        "family": family(about["architecture"]),
        "parameters_m": about["parameters_m"],
        "licence": about["licence"],
        "use": about["use"],
        "measured": any(cell is not None and cell.value is not None for cell in cells),
        "cells": [_cell(cell) for cell in cells],
    }


def _cell(cell: Cell | None) -> dict[str, Any] | None:
    if cell is None:
        return None
    said = words(cell)
    printed = cell.published
    return {
        "sort": cell.value if cell.value is not None else printed.value if printed else None,
        "value": said.value,
        "symbols": said.symbols,
        "published": said.published,
        "emphasis": said.emphasis,
        "faded": bool(NOT_RANKED & set(cell.marks)),
        "title": f"{printed.source}. {printed.note}" if printed else "",
    }


def _papers() -> list[dict[str, Any]]:
    """Papers whose numbers are shown."""
    return [
        {"title": card.title, "authors": card.authors, "venue": card.venue, "url": web_address(link)}
        for card, link in {n.citation: (registry().papers.get(n.paper).paper, n.url) for n in numbers()}.values()
    ]
