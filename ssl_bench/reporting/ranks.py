"""Places of the models on one task, as far as the intervals decide them."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace

from ssl_bench.reporting.cells import DIAGNOSTIC, LOWER_IS_BETTER, NOT_RANKED, Cell, Mark, bounds

Place = tuple[int, int]
"""Best and worst possible, from 1."""


def rank(cells: Sequence[Cell]) -> list[Cell]:
    """The measured cells of one column with their rank, and the best, the second and those that may be the best marked.

    Tied: ranked from 1 on, as no model's whole interval is better (``compare`` gives the sharper paired test).
    """
    found = places(cells)
    if len({cell.metric for cell, place in zip(cells, found, strict=True) if place}) > 1:
        return list(cells)
    values = sorted({_score(cell) for cell, place in zip(cells, found, strict=True) if place}, reverse=True)
    alone = sum(place is not None for place in found) < 2
    made = []
    for cell, place in zip(cells, found, strict=True):
        if place is not None:
            cell = replace(cell, rank=in_words(place))
            if not alone:
                cell = cell.marked(*_marks(_score(cell), values, place))
        made.append(cell)
    return made


def _marks(score: float, values: Sequence[float], place: Place) -> list[Mark]:
    if score == values[0]:
        return ["best"]
    second: list[Mark] = ["second"] if score == values[1] else []
    return [*second, "tied"] if place[0] == 1 else second


def ranks(cells: Sequence[Cell]) -> dict[str, str]:
    """Model -> ``2`` or ``1–3``: its place; models without one are left out."""
    return {cell.model: in_words(place) for cell, place in zip(cells, places(cells), strict=True) if place}


def places(cells: Sequence[Cell]) -> list[Place | None]:
    """From the best to the worst place of each cell that is possible while intervals overlap.

    Best place: 1 + number of models whose whole interval is better; worst: number of models whose whole interval is not
    worse. Cells whose number does not compare (stale, partial, other settings), and descriptions of features, have none.
    """
    spans = [_span(cell) if is_ranked(cell) else None for cell in cells]
    known = [span for span in spans if span is not None]
    lows, highs = sorted(low for low, _ in known), sorted(high for _, high in known)

    def place(low: float, high: float) -> Place:
        return 1 + len(lows) - bisect_right(lows, high), len(highs) - bisect_left(highs, low)

    return [None if span is None else place(*span) for span in spans]


def in_words(place: Place) -> str:
    """``2`` or ``1–3``."""
    return str(place[0]) if place[0] == place[1] else f"{place[0]}–{place[1]}"


def ordered(cells: Sequence[Cell]) -> list[Cell]:
    """Best first; then those that are not ranked, also by their value."""
    return sorted(cells, key=lambda cell: (bool(NOT_RANKED & set(cell.marks)), -_score(cell)))


def is_ranked(cell: Cell) -> bool:
    """Whether the cell takes part in the ranking of its task."""
    return math.isfinite(_score(cell)) and cell.metric not in DIAGNOSTIC and not NOT_RANKED & set(cell.marks)


def _score(cell: Cell) -> float:
    """More is better; what is no number comes last."""
    if cell.value is None or not math.isfinite(cell.value):
        return -math.inf
    return -cell.value if cell.metric in LOWER_IS_BETTER else cell.value


def _span(cell: Cell) -> tuple[float, float]:
    low, high = bounds(cell)
    return (-high, -low) if cell.metric in LOWER_IS_BETTER else (low, high)
