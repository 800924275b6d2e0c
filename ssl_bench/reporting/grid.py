"""A table as typed data: rows, columns and cells, unformatted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ssl_bench.reporting.cells import LOWER_IS_BETTER, Cell
from ssl_bench.reporting.ranks import rank

Grid = tuple[tuple[Cell | None, ...], ...]
Fact = str | float | None


@dataclass(frozen=True)
class Line:
    """A row: a model of ours, or a row of a paper's table (``model`` None where no model here is the same).

    Neighbours of one ``group`` stand below one heading; empty: no heading. ``facts``: one for each of the table's, None where
    nobody states it.
    ``notes``: numbers of the table's notes about it, from 1.
    """

    label: str
    model: str | None
    group: str = ""
    facts: tuple[Fact, ...] = ()
    notes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Column:
    """A task with its headline metric. ``group`` and ``notes`` as a row's."""

    label: str
    task: str | None
    metric: str
    group: str = ""
    notes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Table:
    """``cells[row][column]``; None where there is neither a measured nor a published number.

    ``facts``: headings of what is said of each row before its cells. ``remarks``: about the whole table. ``notes``: what rows,
    columns and cells refer to by number, from 1. ``brackets``: published numbers are written in brackets, without a word.
    """

    title: str
    lines: tuple[Line, ...]
    columns: tuple[Column, ...]
    cells: Grid
    facts: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    brackets: bool = False

    def filled(self) -> Iterator[tuple[Line, Column, Cell]]:
        """All cells that have a number, row by row."""
        for line, row in zip(self.lines, self.cells, strict=True):
            for column, cell in zip(self.columns, row, strict=True):
                if cell is not None:
                    yield line, column, cell

    def rows(self) -> list[dict[str, Any]]:
        """Long form, one dictionary a cell, for csv and json: names and numbers as they are."""
        return [
            {
                "row": line.label,
                "row_group": line.group,
                "column": column.label,
                "column_group": column.group,
                **dict(zip(self.facts, line.facts, strict=True)),
                **_plain(cell),
            }
            for line, column, cell in self.filled()
        ]

    def only(self, rows: Sequence[int], columns: Sequence[int]) -> Table:
        """These rows and columns, in this order."""
        return replace(
            self,
            lines=tuple(self.lines[i] for i in rows),
            columns=tuple(self.columns[j] for j in columns),
            cells=tuple(tuple(self.cells[i][j] for j in columns) for i in rows),
        )

    def ranked(self) -> Table:
        """With the ranks of every column, and its best, second and tied cells marked."""
        columns = []
        for j in range(len(self.columns)):
            column = [row[j] for row in self.cells]
            marked = iter(rank([cell for cell in column if cell is not None]))
            columns.append([None if cell is None else next(marked) for cell in column])
        return replace(self, cells=tuple(zip(*columns, strict=True))) if columns else self

    def best_first(self) -> Table:
        """Rows ordered by the first column; rows without a measured number there last, otherwise as they were."""

        def key(position: int) -> tuple[bool, float]:
            cell = self.cells[position][0] if self.columns else None
            if cell is None or cell.value is None:
                return True, 0.0
            return False, cell.value if cell.metric in LOWER_IS_BETTER else -cell.value

        return self.only(sorted(range(len(self.lines)), key=key), range(len(self.columns)))


def _plain(cell: Cell) -> dict[str, Any]:
    number = cell.published
    return {
        "model": cell.model or None,
        "task": cell.task or None,
        "metric": cell.metric,
        "value": cell.value,
        "std": cell.std,
        "seeds": cell.seeds,
        "low": cell.low,
        "high": cell.high,
        "level": cell.level,
        "interval": cell.interval,
        "published": number.value if number else None,
        "published_std": number.std if number else None,
        "source": number.source if number else None,
        "note": number.note if number else None,
        "difference": cell.difference,
        "verdict": cell.verdict,
        "tolerance": cell.tolerance,
        "reason": cell.reason,
        "rank": cell.rank or None,
        "marks": list(cell.marks),
        "run_ids": list(cell.run_ids),
    }
