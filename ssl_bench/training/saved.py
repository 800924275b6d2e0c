"""What a protocol that trains keeps on the disk while it runs, so that the same command goes on after a stop."""

from __future__ import annotations

import pickle
from typing import Any

import torch

from ssl_bench.compute import Compute
from ssl_bench.data.store import key_of
from ssl_bench.results.atomic import explained, write_file


class Saved:
    """``<cache>/<folder>/<key>.pt``; ``parts``: all that determines the training, JSON-serialisable."""

    def __init__(self, compute: Compute, folder: str, parts: dict[str, Any]) -> None:
        self.path = compute.cache / folder / f"{key_of(parts)}.pt"
        self.progress = compute.progress
        self.device = compute.device

    def load(self) -> dict[str, Any] | None:
        """The saved state; None if there is none, or (with a note) if the file is damaged."""
        if not self.path.is_file():
            return None
        try:
            state: dict[str, Any] = torch.load(self.path, map_location=self.device, weights_only=True)
        except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
            self.progress.note(f"{self.path} is damaged ({type(error).__name__}); the training starts again.")
            return None
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Whole or not at all; :class:`ssl_bench.errors.StoreError` if it cannot be written."""
        with explained(self.path, "Choose another folder with SSL_BENCH_CACHE."):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_file(self.path, lambda file: torch.save(state, file), replace=True)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
