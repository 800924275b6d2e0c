"""A page for every paper: its tables as it prints them, with the measured numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ssl_bench.registry import registry
from ssl_bench.reporting.cells import Cell
from ssl_bench.reporting.grid import Line, Table
from ssl_bench.reporting.model_facts import paper_link
from ssl_bench.reporting.papers import IN_BRACKETS, paper_table
from ssl_bench.reporting.site.content import Content, grouped
from ssl_bench.reporting.site.pages import Pages, address
from ssl_bench.reporting.text import legend, number, signed, spans, words

WRITTEN_OUT = "?✓✗"
"""Symbols whose meaning stands beside the number in words."""


def write_paper_pages(content: Content, pages: Pages) -> None:
    """``papers.html`` and ``papers/*.html``."""
    runs = grouped(((record.model, record.task), record) for record in content.records)
    listed = []
    for name in registry().papers:
        card = registry().papers.get(name)
        tables = [_table(title, paper_table(runs, name, title, [], []), content) for title in card.tables]
        pages.write(address("papers", name), "paper.html.j2", paper=paper_link(card.paper), tables=tables)
        listed.append((name, paper_link(card.paper), tables))
    pages.write("papers.html", "papers.html.j2", papers=listed)


def _table(name: str, table: Table, content: Content) -> dict[str, Any]:
    cells = [cell for _, _, cell in table.filled()]
    return {
        "name": name,
        "title": table.title,
        "facts": table.facts,
        "columns": table.columns,
        "headings": spans([column.group for column in table.columns]),
        "rows": [
            (line, opens, line.model if line.model in content.models else None, list(map(_cell, row)))
            for (line, opens), row in zip(with_headings(table.lines), table.cells, strict=True)
        ],
        "printed": sum(cell.published is not None for cell in cells),
        "measured": sum(cell.value is not None for cell in cells),
        "linked": {column.task for column in table.columns if column.task in content.tasks},
        "remarks": [remark for remark in table.remarks if remark != IN_BRACKETS],
        "notes": table.notes,
        "legend": legend(cells),
    }


def _cell(cell: Cell | None) -> dict[str, Any] | None:
    if cell is None:
        return None
    said, printed = words(cell), cell.published
    spread = f" ±{number(printed.std, printed.metric)}" if printed and printed.std is not None else ""
    return {
        "published": number(printed.value, printed.metric) + spread if printed else "",
        "doubtful": bool(printed and printed.doubtful),
        "notes": cell.notes,
        "measured": said.value + "".join(s for s in said.symbols if s not in WRITTEN_OUT) if said.value else "",
        "difference": signed(cell.difference, cell.metric) if cell.difference is not None else "",
        "verdict": cell.verdict if cell.verdict in {"reproduced", "deviates"} else "",
    }


def with_headings(lines: Sequence[Line]) -> list[tuple[Line, str]]:
    """Each row with the heading that it stands first under, or nothing."""
    before = ["", *(line.group for line in lines)]
    return [(line, line.group if line.group != last else "") for line, last in zip(lines, before, strict=False)]
