"""How numbers are written for people. Data files keep them unformatted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ssl_bench.reporting.cells import MEANING, NOT_RANKED, Cell, Mark

PERCENT = (
    "top",
    "mean_per_class",
    "accuracy",
    "jaccard",
    "miou",
    "map",
    "ap",
    "delta",
    "jf_",
    "roc_auc",
    "overall_f1",
    "per_class_f1",
    "mean_class_f1",
)
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
    notes: str = ""

    @property
    def one_line(self) -> str:
        """All of it on one line; the published number in brackets when a measured one stands before it."""
        if not self.value:
            return self.published + self.symbols + self.notes
        in_brackets = self.published.startswith("(") or not self.published
        published = self.published if in_brackets else f"({self.published})"
        return self.value + self.symbols + (f" {published}" if published else "") + self.notes


def words(cell: Cell | None, brackets: bool = False) -> Words:
    """``emphasis``: best, second, faded (a number that is not ranked) or nothing. ``brackets``: the published number without a word, in brackets."""
    if cell is None:
        return Words("", "", "", "")
    faded = cell.value is not None and NOT_RANKED & set(cell.marks)
    emphasis = "faded" if faded else next((mark for mark in ("best", "second") if mark in cell.marks), "")
    symbols = "".join(symbol for mark, symbol in SYMBOLS.items() if mark in cell.marks)
    published = published_text(cell)
    published = f"({published.removeprefix('paper ')})" if brackets and published else published
    return Words(measured_text(cell), symbols, published, emphasis, marker(cell.notes))


def marker(notes: Sequence[int]) -> str:
    """``[1,3]``: numbers of notes; nothing without any."""
    return f"[{','.join(map(str, notes))}]" if notes else ""


def spans(groups: Sequence[str]) -> list[tuple[str, int]]:
    """Neighbours of one heading: (heading, how many); empty where nobody has one."""
    found: list[tuple[str, int]] = []
    for group in groups:
        if found and found[-1][0] == group:
            found[-1] = (group, found[-1][1] + 1)
        else:
            found.append((group, 1))
    return found if any(groups) else []


def fact_text(fact: str | float | None) -> str:
    """A fact of a row; nothing where nobody states it."""
    return "" if fact is None else fact if isinstance(fact, str) else f"{fact:g}"


def measured_text(cell: Cell) -> str:
    """``93.4 ±1.2``: the larger half of the interval; over several seeds ``93.4 ±0.2 (n=3)``, mean and standard deviation."""
    if cell.value is None:
        return ""
    text = number(cell.value, cell.metric)
    if cell.low is None or cell.high is None:
        return text
    half = number(max(cell.value - cell.low, cell.high - cell.value), cell.metric)
    return f"{text} ±{half}" + (f" (n={cell.seeds})" if cell.seeds > 1 else "")


def published_text(cell: Cell) -> str:
    """``paper 93.1, +0.3``: with the decimals that the paper prints."""
    if cell.published is None:
        return ""
    text = f"paper {cell.published.value}"
    if cell.published.std is not None:
        text += f" ±{cell.published.std}"
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
