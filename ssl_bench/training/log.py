"""``log.csv``: one line every few steps."""

from __future__ import annotations

import csv
from pathlib import Path

from ssl_bench.results.atomic import explained, write_text

FIRST = ("step", "epoch", "lr", "weight_decay", "loss")
LAST = ("feature_std", "projection_std", "knn_top1", "images_per_second")
Row = dict[str, float]


class Log:
    """Appends rows; the columns are those of the first row, with the monitors' ones always there."""

    def __init__(self, path: Path, step: int) -> None:
        """A resumed run drops the rows after ``step``, which it will write again."""
        self.path = path
        rows = [row for row in read_log(path) if row["step"] <= step] if path.exists() else []
        self.columns: list[str] = list(rows[0]) if rows else []
        if self.columns:
            write_text(path, _lines([self.columns, *[[_text(row[c]) for c in self.columns] for row in rows]]))
        else:
            path.unlink(missing_ok=True)

    def add(self, row: Row) -> None:
        rows: list[list[str]] = []
        if not self.columns:
            terms = [key for key in row if key not in FIRST + LAST]
            self.columns = [*FIRST, *terms, *LAST]
            rows.append(self.columns)
        rows.append([_text(row.get(column)) for column in self.columns])
        with explained(self.path, "The same command goes on from the last saved state."), open(self.path, "a") as file:
            file.write(_lines(rows))


def read_log(path: Path) -> list[Row]:
    """The rows of a log; a field that a row leaves out is NaN, a last line that a kill cut off is left out."""
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1].splitlines()
    return [{c: float(v) if v else float("nan") for c, v in row.items()} for row in csv.DictReader(whole)]


def _text(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.10g}"


def _lines(rows: list[list[str]]) -> str:
    return "".join(",".join(row) + "\n" for row in rows)
