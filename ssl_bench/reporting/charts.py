"""Charts of measured results, as pictures (PNG) or drawings (SVG); made by Vega-Lite without a browser or network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ssl_bench.errors import StoreError
from ssl_bench.reporting.points import Frame, Point, place_labels, points, several
from ssl_bench.results.atomic import write_bytes
from ssl_bench.results.record import Record

if TYPE_CHECKING:
    import altair as alt

PALETTE = ["#4c78a8", "#e08214", "#3f9b5f", "#d1495b", "#2a9d8f", "#9c6ade", "#b08900", "#8c6d5c", "#7a8794", "#d16ba5"]
"""Readable on white and on black."""


def bars(records: Sequence[Record], out: Path) -> Path:
    """Measured values with their intervals: one panel a task, one bar a model. ``out`` ends in .png or .svg."""
    save(to_svg(bar_chart(points(records))), out)
    return out


def scatter(records: Sequence[Record], out: Path) -> Path:
    """Measured value against the backbone's parameters (log scale): one panel a task. ``out`` ends in .png or .svg."""
    save(to_svg(scatter_chart(points(records))), out)
    return out


def bar_chart(shown: Sequence[Point]) -> alt.TopLevelMixin:
    """Models in the same order in every panel: by their value on the first task."""
    import altair as alt

    tasks = list(dict.fromkeys(p.task for p in shown))
    models = list(dict.fromkeys(p.model for p in sorted(shown, key=lambda p: (p.task != tasks[0], -p.value))))
    base = alt.Chart().encode(y=alt.Y("model:N", sort=models, title=None))
    bar = base.mark_bar(height={"band": 0.7}).encode(
        x=alt.X("value:Q", title=None, axis=alt.Axis(tickCount=5)), color=_colour(shown)
    )
    interval = base.mark_rule(strokeWidth=1.5, color="#30363d").encode(x="low:Q", x2="high:Q")
    label = base.mark_text(align="left", dx=4, fontSize=10).encode(x="high:Q", text="text:N")
    facet = alt.Facet("task:N", title=None, sort=tasks, header=alt.Header(labelFontSize=12, labelFontWeight="bold"))
    panel = alt.layer(bar, interval, label).properties(width=180, height=alt.Step(20))
    chart = panel.facet(facet=facet, columns=3, data=_data(map(asdict, shown))).resolve_scale(x="independent")
    return styled(chart)


def scatter_chart(
    shown: Sequence[Point],
    width: int = 320,
    height: int = 260,
    columns: int = 3,
    field: str = "parameters_m",
    title: str = "million parameters",
) -> alt.TopLevelMixin:
    """Against ``field`` of the points. :class:`StoreError` when none has it (raw pixels have no parameters)."""
    import altair as alt

    sized = several([point for point in shown if getattr(point, field)])
    if not sized:
        raise StoreError(f"No record says how many {title} its model has.", "Evaluate a model with `ssl-bench run`.")
    colour = _colour(sized)
    panels = []
    for task in dict.fromkeys(p.task for p in sized):
        here = [point for point in sized if point.task == task]
        panels.append(_scatter_panel(here, task, colour, Frame.around(here, width, height, field), title))
    return styled(alt.concat(*panels, columns=columns))


def _scatter_panel(shown: list[Point], task: str, colour: alt.Color, frame: Frame, title: str) -> alt.LayerChart:
    import altair as alt

    x = alt.X(
        f"{frame.field}:Q",
        title=title,
        scale=alt.Scale(type="log", domain=frame.x, nice=False),
        axis=alt.Axis(values=frame.ticks(), grid=False, format="~g"),
    )
    y = alt.Scale(domain=frame.y, nice=False)
    rows = [{**asdict(p), "said": f"{p.model}: {p.text}, {getattr(p, frame.field):g} {title}"} for p in shown]
    base = alt.Chart(_data(rows)).encode(x=x, color=colour)
    interval = base.mark_rule(strokeWidth=1.5, opacity=0.7, aria=False).encode(
        y=alt.Y("low:Q", title=None, scale=y), y2="high:Q"
    )
    dots = base.mark_circle(size=64, opacity=1).encode(y=alt.Y("value:Q", scale=y), description="said:N")
    layers: list[alt.Chart] = [interval, dots]
    placed = place_labels(shown, frame)
    sides: tuple[tuple[int, Literal["left", "right"]], ...] = ((1, "left"), (-1, "right"))
    for side, align in sides:
        rows = [{**asdict(label.point), "value": frame.value_at(label.top)} for label in placed if label.side == side]
        text = alt.Chart(_data(rows)).mark_text(align=align, dx=8 * side, fontSize=10, aria=False)
        layers.append(text.encode(x=x, color=colour, y=alt.Y("value:Q", scale=y), text="model:N"))
    return alt.LayerChart(layer=layers, width=frame.width, height=frame.height, title=task)


def to_svg(chart: alt.TopLevelMixin) -> str:
    """The chart as the text of an SVG element without background."""
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg({**chart.to_dict(), "background": "transparent"})
    return re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", svg)


def save(svg: str, *files: Path) -> None:
    """Write a drawing to files that end in .svg (no background) or .png (on white, two pixels for each unit)."""
    import vl_convert

    for out in files:
        if out.suffix == ".svg":
            write_bytes(out, svg.encode())
        elif out.suffix == ".png":
            start = svg.index(">") + 1
            on_white = svg[:start] + '<rect width="100%" height="100%" fill="white"/>' + svg[start:]
            write_bytes(out, vl_convert.svg_to_png(on_white, scale=2))
        else:
            raise StoreError(
                f"{out}: a chart is saved as .png or .svg.", "Give --out a name with one of these endings."
            )


def _data(rows: Iterable[dict[str, Any]]) -> alt.InlineData:
    import altair as alt

    return alt.InlineData(values=list(rows))


def _colour(shown: Sequence[Point]) -> alt.Color:
    import altair as alt

    methods = list(dict.fromkeys(point.method for point in shown))
    colours = [PALETTE[i % len(PALETTE)] for i in range(len(methods))]
    legend = alt.Legend(title=None, orient="top", columns=8, symbolType="circle") if len(methods) > 1 else None
    return alt.Color("method:N", scale=alt.Scale(domain=methods, range=colours), legend=legend)


def styled(chart: Any) -> alt.TopLevelMixin:
    made: alt.TopLevelMixin = (
        chart.configure(font="system-ui, Helvetica, Arial, sans-serif", padding=12)
        .configure_view(stroke=None)
        .configure_title(fontSize=12, anchor="start", offset=10)
        .configure_axis(
            gridColor="#8884", domainColor="#8888", tickColor="#8888", labelFontSize=11, titleFontWeight="normal"
        )
    )
    return made
