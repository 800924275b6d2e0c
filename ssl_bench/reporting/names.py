"""Names of models and tasks as users write them -> those that have numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from ssl_bench.errors import UnknownNameError


def split_names(given: Sequence[str] | None) -> list[str]:
    """``["a,b", "c"]`` -> ``["a", "b", "c"]``."""
    return [name.strip() for item in given or () for name in item.split(",") if name.strip()]


def keep(kind: str, known: Sequence[str], patterns: list[str]) -> list[str]:
    """Known names that match a pattern, without repeats, in the order of the patterns; one that matches none is an error."""
    if not patterns:
        return list(dict.fromkeys(known))
    kept: list[str] = []
    for pattern in patterns:
        matched = [name for name in known if name == pattern or fnmatchcase(name, pattern)]
        if not matched:
            raise not_among(f"{kind} with numbers", pattern, known)
        kept += matched
    return list(dict.fromkeys(kept))


def not_among(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a name that is none of ``known``, which no other verb lists: the hint does."""
    names = sorted(set(known))
    error = UnknownNameError(kind, name, names)
    if "Did you mean" not in (error.hint or ""):
        error.hint = (
            f"There are: {', '.join(names[:20])}{' ...' if len(names) > 20 else ''}" if names else "There are none yet."
        )
    return error
