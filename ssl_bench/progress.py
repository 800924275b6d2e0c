"""How long work reports its progress without printing: the command line hands in a bar, a library user nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Progress(Protocol):
    """What long work may say."""

    def bar(self, description: str, total: int) -> AbstractContextManager[Callable[..., None]]:
        """A bar: ``with progress.bar("features", n) as advance: advance(64)``; ``advance(units=1, status="")``."""

    def note(self, message: str) -> None:
        """One line that the user should see, such as a warning that training collapses."""


class Silent:
    """No output; notes are kept in ``notes`` so that tests and library users can read them."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @contextmanager
    def bar(self, description: str, total: int) -> Iterator[Callable[..., None]]:
        def advance(units: int = 1, status: str = "") -> None: ...

        yield advance

    def note(self, message: str) -> None:
        self.notes.append(message)
