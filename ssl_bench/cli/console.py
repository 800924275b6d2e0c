"""How the command line speaks: data on stdout, progress and notes on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress as RichBars

QUIET_SECONDS = 15.0
"""Without a terminal a running bar says where it is at most this often."""


def note(message: str, style: str = "") -> None:
    """One line on stderr."""
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, soft_wrap=True).print(Text(message, style=style))


def out(text: str) -> None:
    """Plain text on stdout."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def print_json(data: Any) -> None:
    """Data on stdout; values that are not finite become null, as JSON has none."""
    out(json.dumps(_finite(data), indent=2, ensure_ascii=False, default=str))


def _finite(data: Any) -> Any:
    if isinstance(data, float) and (data != data or data in (float("inf"), float("-inf"))):
        return None
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return data


PIPE_WIDTH = 400
"""Characters of a line at most where the output is no terminal."""


def print_rows(rows: Sequence[dict[str, Any]], title: str = "", as_json: bool = False) -> None:
    """Rows of equal keys, as a table or as JSON."""
    if as_json:
        print_json(list(rows))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for position, key in enumerate(rows[0] if rows else []):
        table.add_column(key, overflow="fold", no_wrap=position == 0)
    for row in rows:
        table.add_row(*[Text(_words(value)) for value in row.values()])
    console = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
    if not sys.stdout.isatty():  # a file or a pipe has no width of its own: rows stay whole if they can
        console.width = min(max(160, console.measure(table).maximum), PIPE_WIDTH)
    console.print(table if rows else f"{title}: nothing")


def _words(value: object) -> str:
    """Whole numbers without ``.0``; nothing for None."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


class Bars:
    """Progress for a terminal: rich bars on stderr. Elsewhere: a line when a bar starts, now and then, and at its end."""

    def __init__(self) -> None:
        self._bars: RichBars | None = None
        self._open = 0

    def note(self, message: str) -> None:
        if self._bars is not None:
            self._bars.console.print(message, style="yellow", markup=False, highlight=False)
        else:
            note(message, style="yellow")

    @contextmanager
    def bar(self, description: str, total: int) -> Iterator[Callable[..., None]]:
        if sys.stderr.isatty():
            with self._rich_bar(description, total) as advance:
                yield advance
        else:
            with self._plain_bar(description, total) as advance:
                yield advance

    @contextmanager
    def _rich_bar(self, description: str, total: int) -> Iterator[Callable[..., None]]:
        if self._bars is None:
            self._bars = _make_bars()
            self._bars.start()
        self._open += 1
        task = self._bars.add_task(description, total=total, status="")

        def advance(units: int = 1, status: str = "") -> None:
            assert self._bars is not None
            self._bars.update(task, advance=units)
            if status:
                self._bars.update(task, status=status)

        try:
            yield advance
        finally:
            self._bars.remove_task(task)
            self._open -= 1
            if self._open == 0:
                self._bars.stop()
                self._bars = None

    @contextmanager
    def _plain_bar(self, description: str, total: int) -> Iterator[Callable[..., None]]:
        start = last = time.monotonic()
        done = 0

        def advance(units: int = 1, status: str = "") -> None:
            nonlocal done, last
            done += units
            now = time.monotonic()
            if now - last > QUIET_SECONDS:
                last = now
                note(f"{description}: {done}/{total} {status}".rstrip())

        yield advance
        seconds = time.monotonic() - start
        if seconds > 2:
            note(f"{description}: done in {seconds:.0f} s")


def _make_bars() -> RichBars:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[status]}", style="dim"),
        console=Console(stderr=True),
        transient=True,
    )
