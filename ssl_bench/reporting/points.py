"""Measured results as points of a chart, and places for their labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ssl_bench.cards import PublishedRow
from ssl_bench.errors import StoreError
from ssl_bench.reporting.about import about
from ssl_bench.reporting.cells import measured
from ssl_bench.reporting.published import numbers
from ssl_bench.reporting.text import number
from ssl_bench.results.record import Record

MAX_TASKS = 9
MAX_SHIFT = 1
"""Lines of text by which a label may stand above or below its point."""


@dataclass(frozen=True)
class Point:
    """A model on a task. ``parameters_m``: millions; ``epochs`` of pretraining; ``images_per_second``: measured here, on the
    device that measured most models. None if nobody says."""

    model: str
    method: str
    task: str
    value: float
    low: float
    high: float
    text: str
    parameters_m: float | None
    epochs: float | None = None
    images_per_second: float | None = None


def points(records: Sequence[Record]) -> list[Point]:
    """One a model and task, in the order of tasks with the most models first; at most ``MAX_TASKS`` tasks."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.task, record.model), []).append(record)
    printed = {n.model: n.row for n in reversed(numbers()) if n.model}
    speeds = throughputs(records)[1]
    made = (_point(group, printed.get(group[0].model), speeds.get(group[0].model)) for group in groups.values())
    found = [point for point in made if math.isfinite(point.value)]
    if not found:
        raise StoreError("There are no results to draw.", "Evaluate a model with `ssl-bench run` first.")
    return several(found)


def several(found: Sequence[Point]) -> list[Point]:
    """Points by task, those with the most models first; a task of one model is left out where others compare several."""
    count = {task: sum(point.task == task for point in found) for task in dict.fromkeys(p.task for p in found)}
    compared = [task for task in count if count[task] > 1] or list(count)
    kept = sorted(compared, key=lambda task: -count[task])[:MAX_TASKS]
    return [point for task in kept for point in found if point.task == task]


def throughputs(records: Sequence[Record]) -> tuple[str, dict[str, float]]:
    """Device and precision of most records of images per second, and the newest of them for each model: numbers of different
    machines do not compare."""
    found: dict[str, dict[str, float]] = {}
    for record in records:
        if record.primary == "images_per_second" and not record.partial:
            machine = f"{record.compute.device}, {record.compute.precision}"
            found.setdefault(machine, {})[record.model] = record.value
    return max(found.items(), key=lambda item: len(item[1]), default=("", {}))


def _point(records: list[Record], row: PublishedRow | None, speed: float | None) -> Point:
    cell = measured(records)
    value = math.nan if cell.value is None else cell.value
    counted = [record for record in records if record.weights.parameters is not None]
    known = about(cell.model, counted[-1] if counted else records[-1], row)
    return Point(
        model=cell.model,
        method=records[0].method,
        task=f"{cell.task} · {cell.metric}",
        value=value,
        low=value if cell.low is None else cell.low,
        high=value if cell.high is None else cell.high,
        text=number(value, cell.metric),
        parameters_m=known.parameters_m,
        epochs=known.epochs,
        images_per_second=speed,
    )


@dataclass(frozen=True)
class Frame:
    """The ranges that a chart's axes show (x is logarithmic), and its size in pixels."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: int
    height: int
    field: str = "parameters_m"
    """What x is: a field of the points."""

    @classmethod
    def around(cls, shown: Sequence[Point], width: int, height: int, field: str = "parameters_m") -> Frame:
        """Ranges with some room around all intervals."""
        sizes = [size for point in shown if (size := getattr(point, field))]
        low, high = min(p.low for p in shown), max(p.high for p in shown)
        room = 0.08 * (high - low) or 1.0
        return cls((min(sizes) / 1.6, max(sizes) * 1.6), (low - room, high + room), width, height, field)

    def pixel(self, point: Point) -> tuple[float, float]:
        """Distance from the left and from the top."""
        low, high = (math.log(edge) for edge in self.x)
        right = (math.log(getattr(point, self.field) or self.x[0]) - low) / (high - low) * self.width
        return right, (self.y[1] - point.value) / (self.y[1] - self.y[0]) * self.height

    def value_at(self, top: float) -> float:
        """The y value at a distance from the top."""
        return self.y[1] - top / self.height * (self.y[1] - self.y[0])

    def ticks(self) -> list[float]:
        """1, 2, 5, 10, 20 ... within the x range."""
        first, last = math.floor(math.log10(self.x[0])), math.ceil(math.log10(self.x[1]))
        steps = [digit * 10.0**power for power in range(first, last + 1) for digit in (1, 2, 5)]
        return [step for step in steps if self.x[0] <= step <= self.x[1]]


@dataclass(frozen=True)
class Label:
    """Text beside a point: ``top`` in pixels, ``side``: right or left of the point."""

    point: Point
    top: float
    side: int


def place_labels(shown: Sequence[Point], frame: Frame, letter: float = 5.6, line: float = 12.0) -> list[Label]:
    """Greedy: highest point first, each label beside its point, or up to ``MAX_SHIFT`` lines above or below where that keeps
    it off everything. A point whose label fits nowhere has none: a label far away would be taken for another point's."""
    taken = [_mark(point, frame) for point in shown]
    labels = []
    for point in sorted(shown, key=lambda p: -p.value):
        x, y = frame.pixel(point)
        length = letter * len(point.model)
        for shift in sorted((step * line / 2 * sign for step in range(2 * MAX_SHIFT + 1) for sign in (1, -1)), key=abs):
            if not line / 2 <= y + shift <= frame.height - line / 2:
                continue
            boxes = {side: _box(x, y + shift, side, length, line) for side in (1, -1)}
            free = [s for s, box in boxes.items() if box[0] >= 0 and box[1] <= frame.width and not _hits(box, taken)]
            if free:
                taken.append(boxes[free[0]])
                labels.append(Label(point, y + shift, free[0]))
                break
    return labels


Box = tuple[float, float, float, float]
"""Left, right, top, bottom."""


def _mark(point: Point, frame: Frame) -> Box:
    """The dot with its interval."""
    x, y = frame.pixel(point)
    scale = frame.height / (frame.y[1] - frame.y[0])
    return (
        x - 4,
        x + 4,
        min(y - 4, y - (point.high - point.value) * scale),
        max(y + 4, y + (point.value - point.low) * scale),
    )


def _box(x: float, y: float, side: int, length: float, line: float) -> Box:
    left = x + 8 if side > 0 else x - 8 - length
    return left, left + length, y - line / 2, y + line / 2


def _hits(box: Box, taken: Sequence[Box]) -> bool:
    return any(box[0] < b[1] and b[0] < box[1] and box[2] < b[3] - 0.5 and b[2] < box[3] - 0.5 for b in taken)
