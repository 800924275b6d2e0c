"""Names of one kind and what they stand for, made at first use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from ssl_bench.errors import PluginError, UnknownNameError

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """``value`` is the thing itself, or ``make`` builds it at first use. ``origin``: file or plugin that brought it."""

    origin: str
    make: Callable[[], T]


class Catalogue(Generic[T]):
    """The entries of one kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry[T]] = {}
        self._made: dict[str, T] = {}

    def add(self, name: str, make: Callable[[], T], origin: str) -> None:
        if name in self._entries:
            raise PluginError(
                f"{origin}: a {self.kind} named {name!r} is there already, from {self._entries[name].origin}.",
                "Choose another name; built-in names cannot be replaced.",
            )
        self._entries[name] = Entry(origin, make)

    def get(self, name: str) -> T:
        if name not in self._entries:
            raise UnknownNameError(self.kind, name, self._entries)
        if name not in self._made:
            self._made[name] = self._entries[name].make()
        return self._made[name]

    def origin(self, name: str) -> str:
        return self._entries[name].origin

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)
