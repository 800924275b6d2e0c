"""What a user may do wrong, each with what to do next.

Every error that a user's input can cause is a :class:`SslBenchError`: the command line prints its message without a
traceback and leaves with exit code 2. Anything else that escapes is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SslBenchError(Exception):
    """One message: what is wrong, where, and (``hint``) what to do about it."""

    exit_code = 2

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class UnknownNameError(SslBenchError):
    """A name that no card or plugin has; the hint lists the closest ones."""

    _hint: str | None

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, list(known)
        super().__init__(f"There is no {kind} named {name!r}.")

    @property
    def hint(self) -> str | None:
        """Looked for when somebody reads it: among many names that takes long, and who catches the error does not ask."""
        if self._hint is None:
            known, name = sorted(self.known), self.name
            close = difflib.get_close_matches(name, known, n=4, cutoff=0.5)
            close = close or [k for k in known if name and name in k][:4]
            lists = f"`ssl-bench list {self.kind}s` shows what there is."
            self._hint = f"Did you mean: {', '.join(close)}?" if close else lists
        return self._hint

    @hint.setter
    def hint(self, hint: str | None) -> None:
        self._hint = hint


class CardError(SslBenchError):
    """A YAML card does not have the fields it must have."""


class PluginError(SslBenchError):
    """A plugin cannot be imported, or gives something that is not what it promised."""


class SettingsError(SslBenchError):
    """A protocol or method setting is unknown, has the wrong type or is out of its range."""


class CheckpointError(SslBenchError):
    """A checkpoint is missing, damaged, unsafe to open, or does not fit the architecture."""


class DataError(SslBenchError):
    """A data set is missing, incomplete or not in the expected layout."""


class ImageError(DataError):
    """One image cannot be read; it stops the run, or with ``--skip-broken`` is left out and listed."""


class FeatureError(SslBenchError):
    """Features that cannot be scored: wrong shape, not finite, or labels that do not fit."""


class StoreError(SslBenchError):
    """A result or a cache entry cannot be written or read (disk full, read-only folder, damaged file)."""


class MissingExtraError(SslBenchError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}, which is not installed.", f"pip install 'ssl-bench[{extra}]'")


class TrainingError(SslBenchError):
    """Training cannot go on: the loss is not finite, or a checkpoint belongs to another recipe."""
