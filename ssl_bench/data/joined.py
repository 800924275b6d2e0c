"""Several splits as one."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from ssl_bench.data.dataset import Split
from ssl_bench.errors import DataError


class JoinedSplit(Split):
    """The images of ``parts``, one part after the other; all must have the same classes (train and val, for instance)."""

    def __init__(self, *parts: Split) -> None:
        for part in parts[1:]:
            if part.classes != parts[0].classes:
                raise DataError(f"{part.name} and {parts[0].name} have different classes, so they cannot be joined.")
        self.parts = parts
        self.classes = parts[0].classes
        self.labels = np.concatenate([part.labels for part in parts])
        self.name = " and ".join(part.name for part in parts)
        self._starts = np.cumsum([0, *(len(part) for part in parts)])

    def image(self, index: int) -> Image.Image:
        part, at = self._at(index)
        return part.image(at)

    def identity(self, index: int) -> str:
        part, at = self._at(index)
        return part.identity(at)

    def file(self, index: int) -> Path | None:
        part, at = self._at(index)
        return part.file(at)

    def array(self) -> np.ndarray | None:
        return self._array

    @cached_property
    def _array(self) -> np.ndarray | None:
        arrays = [array for part in self.parts if (array := part.array()) is not None]
        same = len(arrays) == len(self.parts) and len({array.shape[1:] for array in arrays}) == 1
        return np.concatenate(arrays) if same else None

    def _at(self, index: int) -> tuple[Split, int]:
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self.parts[number], index - int(self._starts[number])
