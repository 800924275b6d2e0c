"""Accuracy against parameters, images per second and epochs of pretraining, drawn when the site is made."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ssl_bench.reporting.cells import DIAGNOSTIC, MACHINE_DEPENDENT
from ssl_bench.reporting.charts import bar_chart, save, scatter_chart, to_svg
from ssl_bench.reporting.families import method_family
from ssl_bench.reporting.points import Point, points, several, throughputs
from ssl_bench.reporting.site.content import Content
from ssl_bench.reporting.site.pages import Pages
from ssl_bench.results.record import Record

MOST_POINTS, MOST_BARS = 1000, 300
"""In one chart: a drawing of more is too heavy, and nothing can be seen in it. Tasks are left out, but not the first."""


def write_charts(content: Content, pages: Pages) -> None:
    """``charts.html``, and the same drawings as files in ``figures``."""
    from markupsafe import Markup

    drawable = any(math.isfinite(record.value) for record in content.records)
    drawings = _draw(content.records, pages.out / "figures") if drawable else {}
    pages.write(
        "charts.html",
        "charts.html.j2",
        charts=[{"name": name, "drawing": Markup(svg)} for name, svg in drawings.items()],
    )


def _draw(records: Sequence[Record], folder: Path) -> dict[str, str]:
    """Name of the axis -> drawing; an axis that fewer than two models have is left out."""
    shown = points(records)
    if len(bars := _fewer(shown, MOST_BARS)) <= MOST_BARS:
        save(to_svg(bar_chart(bars)), folder / "bars.png", folder / "bars.svg")
    accuracies = [
        _coloured(point) for point in shown if point.task.rsplit(" · ")[-1] not in DIAGNOSTIC | MACHINE_DEPENDENT
    ]
    machine, _ = throughputs(records)
    axes = {
        "parameters": ("parameters_m", "million parameters"),
        "throughput": ("images_per_second", f"images per second ({machine})"),
        "epochs": ("epochs", "epochs of pretraining"),
    }
    drawings = {}
    for name, (field, title) in axes.items():
        have = [point for point in accuracies if getattr(point, field)]
        if len({point.model for point in have}) < 2:
            continue
        drawing = to_svg(scatter_chart(_fewer(several(have), MOST_POINTS), field=field, title=title))
        file = folder / ("scatter" if name == "parameters" else f"scatter_{name}")
        save(drawing, file.with_suffix(".png"), file.with_suffix(".svg"))
        drawings[name] = _light(drawing)
    return drawings


def _coloured(point: Point) -> Point:
    """By its method's family: there are more methods than colours that can be told apart."""
    return replace(point, method=method_family(point.method))


def _light(svg: str) -> str:
    """The drawing for a page: dots as circles that name their model when the pointer is on them; what the page's style says is
    left out (two fifths of its length)."""
    svg = re.sub(
        r'<path aria-label="([^"]*)" role="graphics-symbol" aria-roledescription="circle" '
        r'transform="translate\(([-0-9.]+),([-0-9.]+)\)" d="[^"]*" fill="([^"]*)"[^>]*/>',
        r'<circle cx="\2" cy="\3" r="4" fill="\4"><title>\1</title></circle>',
        svg,
    )
    return re.sub(
        r' (font-family="[^"]*"|font-size="10px"|opacity="1"|stroke-width="1"|aria-roledescription="[^"]*")', "", svg
    )


def _fewer(shown: Sequence[Point], most: int) -> list[Point]:
    """Whole tasks as long as there is room; at least the first."""
    kept: list[Point] = []
    for task in dict.fromkeys(point.task for point in shown):
        here = [point for point in shown if point.task == task]
        if kept and len(kept) + len(here) > most:
            break
        kept += here
    return kept
