"""How numbers are written for people. Data files keep them unformatted."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ssl_bench.reporting.cells import MEANING, Cell, Mark

PERCENT = ("top", "mean_per_class", "accuracy", "jaccard", "miou", "map", "ap")
"""First parts of the names of metrics that are percentages: one decimal, as papers print them."""
SYMBOLS: dict[Mark, str] = {
    "tied": "≈",
    "stale": "†",
    "partial": "‡",
    "custom": "*",
    "best_on_test": "§",
    "doubtful": "?",
    "reproduced": "✓",
    "deviates": "✗",
}


@dataclass(frozen=True)
class Words:
    """A cell in words: ``93.4 ±1.2``, its symbols, and ``paper 93.1, +0.3``; parts that are not there are empty."""

    value: str
    symbols: str
    published: str
    emphasis: str

    @property
    def one_line(self) -> str:
        """All of it on one line; the published number in brackets when a measured one stands before it."""
        if not self.value:
            return self.published + self.symbols
        return self.value + self.symbols + (f" ({self.published})" if self.published else "")


def words(cell: Cell | None) -> Words:
    """``emphasis``: best, second or nothing."""
    if cell is None:
        return Words("", "", "", "")
    emphasis = "best" if "best" in cell.marks else "second" if "second" in cell.marks else ""
    symbols = "".join(symbol for mark, symbol in SYMBOLS.items() if mark in cell.marks)
    return Words(measured_text(cell), symbols, published_text(cell), emphasis)


def measured_text(cell: Cell) -> str:
    """``93.4 ±1.2``: the larger half of the interval, or the standard deviation over seeds."""
    if cell.value is None:
        return ""
    text = number(cell.value, cell.metric)
    if cell.low is None or cell.high is None:
        return text
    half = max(cell.value - cell.low, cell.high - cell.value)
    return f"{text} ±{number(half, cell.metric)}"


def published_text(cell: Cell) -> str:
    """``paper 93.1, +0.3``"""
    if cell.published is None:
        return ""
    text = f"paper {number(cell.published.value, cell.metric)}"
    if cell.published.std is not None:
        text += f" ±{number(cell.published.std, cell.metric)}"
    return text if cell.difference is None else f"{text}, {signed(cell.difference, cell.metric)}"


def number(value: float, metric: str) -> str:
    """Percentages with one decimal, large numbers without, others with four digits."""
    if not math.isfinite(value):
        return str(value)
    if is_percent(metric):
        return f"{value:.1f}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def signed(value: float, metric: str) -> str:
    """With its sign, a true minus."""
    text = number(abs(value), metric)
    return ("−" if value < 0 else "+") + text


def is_percent(metric: str) -> bool:
    """Whether a metric runs from 0 to 100."""
    return metric.startswith(PERCENT)


def legend(cells: Iterable[Cell]) -> list[str]:
    """What the symbols in these cells mean, and what ± is."""
    cells = list(cells)
    used = [
        f"{symbol} {MEANING[mark]}" for mark, symbol in SYMBOLS.items() if any(mark in cell.marks for cell in cells)
    ]
    kinds = dict.fromkeys(_kind(cell) for cell in cells if cell.interval)
    return [*([f"± {'; '.join(kinds)}"] if kinds else []), *used]


def _kind(cell: Cell) -> str:
    return f"{cell.level * 100:g} % interval ({cell.interval})" if cell.level else str(cell.interval)
