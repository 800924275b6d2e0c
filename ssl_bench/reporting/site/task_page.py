"""A page for every task: what is done, with which settings, and the ranking."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ssl_bench.cards import DatasetCard
from ssl_bench.errors import UnknownNameError
from ssl_bench.registry import registry
from ssl_bench.reporting.cells import DIAGNOSTIC, NOT_RANKED, Cell
from ssl_bench.reporting.grid import Table
from ssl_bench.reporting.protocol_words import protocol_in_words
from ssl_bench.reporting.ranks import ordered, ranks
from ssl_bench.reporting.site.content import Content
from ssl_bench.reporting.site.pages import Pages, address
from ssl_bench.reporting.text import legend, words


def write_task_pages(content: Content, pages: Pages) -> None:
    """``tasks/*.html``."""
    for position, column in enumerate(content.table.columns):
        cells = _column(content.table, position)
        card = content.tasks[column.label]
        last = content.by_task[card.name][-1] if card.name in content.by_task else None
        measured = [cell for cell in cells if cell.value is not None]
        pages.write(
            address("tasks", card.name),
            "task.html.j2",
            card=card,
            metric=column.metric,
            data=_dataset(card.dataset),
            words=[_paragraphs(text) for text in protocol_in_words(card.protocol)],
            settings=_settings(last.settings if last else card.settings),
            all_settings=last is not None,
            ranking=_ranking(measured, content),
            ranked=column.metric not in DIAGNOSTIC,
            printed=[_printed(cell) for cell in cells if cell.value is None and cell.published],
            legend=legend(cells),
        )


def write_task_list(content: Content, pages: Pages) -> None:
    """``tasks.html``."""
    count = {
        card.name: len({record.model for record in content.by_task.get(card.name, [])})
        for card in content.tasks.values()
    }
    cards = sorted(content.tasks.values(), key=lambda card: (card.protocol, card.name))
    pages.write("tasks.html", "tasks.html.j2", cards=[(card, count[card.name]) for card in cards])


def _column(table: Table, position: int) -> list[Cell]:
    return [row[position] for row in table.cells if row[position] is not None]  # type: ignore[misc]


def _ranking(cells: Sequence[Cell], content: Content) -> list[dict[str, Any]]:
    """Best first, with the ranks that the intervals leave open; then those that are not ranked."""
    places = ranks(cells)
    rows = []
    for cell in ordered(cells):
        said = words(cell)
        rows.append(
            {
                "rank": places.get(cell.model, ""),
                "about": content.models[cell.model],
                "value": said.value,
                "symbols": said.symbols,
                "emphasis": said.emphasis,
                "published": said.published,
                "faded": bool(NOT_RANKED & set(cell.marks)),
                "seeds": cell.seeds,
            }
        )
    return rows


def _printed(cell: Cell) -> dict[str, Any]:
    number = cell.published
    assert number is not None
    said = words(cell)
    return {
        "model": cell.model,
        "value": said.published.removeprefix("paper "),
        "doubtful": number.doubtful,
        "source": number.source,
        "paper": number.paper,
        "table": number.table,
        "note": number.note,
    }


def _dataset(name: str) -> DatasetCard | None:
    try:
        card = registry().dataset(name)
    except UnknownNameError:
        return None
    return card if isinstance(card, DatasetCard) else None


def _settings(given: dict[str, Any]) -> list[tuple[str, str]]:
    return [(key, json.dumps(value, ensure_ascii=False)) for key, value in given.items()]


def _paragraphs(text: str) -> list[tuple[str, str]]:
    """A docstring as (``p`` or ``pre``, text): indented blocks are formulas."""
    parts = []
    for block in text.replace("::\n", ":\n").split("\n\n"):
        kind = "pre" if block.startswith("    ") else "p"
        parts.append((kind, block if kind == "pre" else " ".join(block.split())))
    return parts
