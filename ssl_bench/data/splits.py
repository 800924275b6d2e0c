"""The two kinds of split that all data sets are made of: images in memory, and image files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ssl_bench.data.dataset import Split
from ssl_bench.data.images import open_rgb
from ssl_bench.errors import DataError


class ArraySplit(Split):
    """``pixels``: (N, H, W, 3) uint8 RGB; ``labels``: (N,)."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> None:
        if len(pixels) != len(labels):
            raise DataError(f"There are {len(pixels)} images and {len(labels)} labels.")
        self.pixels = np.ascontiguousarray(pixels, dtype=np.uint8)
        self.labels = np.asarray(labels, dtype=np.int64)
        self.classes = tuple(classes)

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(self.pixels[index])

    def identity(self, index: int) -> str:
        return hashlib.sha256(self.pixels[index]).hexdigest()

    def array(self) -> np.ndarray:
        return self.pixels


class FileSplit(Split):
    """Image files: ``paths`` are relative to ``root``.

    Kept as one array of bytes, not as a list of strings: 1.28 million paths then cost 50 MB, shared with the loader's
    workers. Sizes are asked for when the fingerprint is.
    """

    def __init__(self, root: Path, paths: Sequence[str], labels: Sequence[int] | np.ndarray, classes: Sequence[str]):
        self.root = root
        self._paths = np.array([os.fsencode(path) for path in paths], dtype=np.bytes_)
        self.labels = np.asarray(labels, dtype=np.int64)
        self.classes = tuple(classes)

    def path(self, index: int) -> str:
        """Path relative to the root."""
        return os.fsdecode(self._paths[index])

    def file(self, index: int) -> Path:
        return self.root / self.path(index)

    def image(self, index: int) -> Image.Image:
        return open_rgb(self.file(index))

    def identity(self, index: int) -> str:
        path = self.path(index)
        try:
            size = os.stat(self.root / path).st_size
        except OSError as error:
            raise DataError(
                f"{self.root / path}: {error.strerror}.", "`ssl-bench data check` says what else is missing."
            ) from error
        return f"{Path(path).as_posix()}:{size}"
