"""Places of the models on one task, as far as the intervals decide them."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from ssl_bench.reporting.cells import DIAGNOSTIC, LOWER_IS_BETTER, NOT_RANKED, Cell, bounds


def ranks(cells: Sequence[Cell]) -> dict[str, str]:
    """Model -> ``2`` or ``1–3``: from the best to the worst place that is possible while intervals overlap.

    Best place: 1 + number of models whose whole interval is better; worst: number of models whose whole interval is not
    worse. Models whose number does not compare (stale, partial, other settings), and descriptions of features, have none.
    """
    ranked = [cell for cell in cells if is_ranked(cell)]
    spans = {cell.model: _span(cell) for cell in ranked}
    lows, highs = sorted(low for low, _ in spans.values()), sorted(high for _, high in spans.values())
    found = {}
    for model, (low, high) in spans.items():
        best = 1 + len(lows) - bisect_right(lows, high)
        worst = len(highs) - bisect_left(highs, low)
        found[model] = str(best) if best == worst else f"{best}–{worst}"
    return found


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
