"""The leaderboard: a folder of pages that needs no server, makes no request elsewhere, and can be read without a script."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ssl_bench.reporting.site.board import write_board
from ssl_bench.reporting.site.charts_page import write_charts
from ssl_bench.reporting.site.content import Content
from ssl_bench.reporting.site.model_page import write_model_pages
from ssl_bench.reporting.site.pages import Pages
from ssl_bench.reporting.site.paper_page import write_paper_pages
from ssl_bench.reporting.site.task_page import write_task_list, write_task_pages
from ssl_bench.results.collection import no_collection
from ssl_bench.results.record import Record

TITLE = "Self-supervised vision leaderboard"


def write_leaderboard(records: Sequence[Record], out: Path, title: str = TITLE) -> Path:
    """Write the site below ``out``: ``index.html`` with all numbers, a page for each model, task and paper that has numbers,
    charts. Its data are in the first page as JSON (``<script type="application/json" id="data">``). Returns that page.

    The first page is written last, so that it never points at pages that are not there yet.
    """
    with no_collection():
        return _write(Content.gather(records, title), out, title)


def _write(content: Content, out: Path, title: str) -> Path:
    pages = Pages(out, title=title, updated=content.updated)
    for name in ("site.css", "site.js", "board.js"):
        pages.copy(name)
    write_charts(content, pages)
    write_model_pages(content, pages)
    write_task_pages(content, pages)
    write_task_list(content, pages)
    write_paper_pages(content, pages)
    write_board(content, pages)
    pages.remove_old()
    return out / "index.html"
