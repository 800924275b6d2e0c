"""Scenes as files: an image, and beside it a map of classes, of depth, or both, each one PNG a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from ssl_bench.data.images import explained
from ssl_bench.data.scenes import IGNORE, SceneSplit
from ssl_bench.data.splits import FileSplit
from ssl_bench.errors import DataError

UNCHANGED = tuple(range(256))
SHIFTED = (IGNORE, *range(255))
"""File value 0 is "other" and ignored, 1 is the first class ("reduce zero label")."""


@dataclass(frozen=True)
class DepthFiles:
    """How depth stands in 16-bit files: ``units`` a metre; 0 and ``invalid`` where it was not measured."""

    paths: tuple[str, ...]
    units: float = 1000.0
    invalid: tuple[int, ...] = ()


@dataclass(frozen=True)
class LabelFiles:
    """How classes stand in 8-bit files (grey, or the positions of a palette): ``classes[value]`` is the class of a file's
    value, 255 for pixels to ignore."""

    paths: tuple[str, ...]
    classes: tuple[int, ...] = UNCHANGED


class SceneFiles(FileSplit, SceneSplit):
    """``images`` and the paths of their targets, relative to ``root``, in one order. The one label of an image is 0."""

    def __init__(
        self,
        root: Path,
        images: Sequence[str],
        classes: Sequence[str],
        labels: LabelFiles | None = None,
        depths: DepthFiles | None = None,
    ) -> None:
        super().__init__(root, images, np.zeros(len(images)), classes)
        self.label_files, self.depth_files = labels, depths
        has = {"label_map": labels, "depth": depths}
        self.targets = frozenset(name for name, files in has.items() if files is not None)  # type: ignore[misc]

    def label_map(self, index: int) -> np.ndarray:
        if self.label_files is None:
            raise self._lacks("label_map")
        values = _single_channel(self.root / self.label_files.paths[index], np.dtype(np.uint8))
        label_map: np.ndarray = self._classes_of_values[values]
        return label_map

    def depth(self, index: int) -> np.ndarray:
        if self.depth_files is None:
            raise self._lacks("depth")
        values = _single_channel(self.root / self.depth_files.paths[index], np.dtype(np.uint16))
        missing = np.isin(values, self.depth_files.invalid)
        return np.where(missing, 0, values / self.depth_files.units).astype(np.float32)

    def target_files(self, index: int) -> tuple[Path, ...]:
        found = [files.paths[index] for files in (self.label_files, self.depth_files) if files is not None]
        return tuple(self.root / path for path in found)

    def identity(self, index: int) -> str:
        sizes = []
        for path in self.target_files(index):
            if not path.is_file():
                raise DataError(
                    f"There is no target {path} for the image {self.path(index)}.",
                    "Unpack the archive again; `ssl-bench data check` says what else is missing.",
                )
            sizes.append(path.stat().st_size)
        return ":".join([super().identity(index), *map(str, sizes)])

    @cached_property
    def _classes_of_values(self) -> np.ndarray:
        assert self.label_files is not None
        return np.array(self.label_files.classes, dtype=np.uint8)


def _single_channel(path: Path, kind: np.dtype[np.uint8] | np.dtype[np.uint16]) -> np.ndarray:
    """(H, W) of the file's own values; :class:`DataError` if it has colours, or more bits than ``kind``."""
    with explained(path), Image.open(path) as image:
        values = np.asarray(image)
        mode = image.mode
    if values.ndim != 2:
        raise DataError(
            f"{path}: is a picture with colours ({mode}); its pixels must be numbers, in one channel.",
            "Coloured maps are for people; take the data set's files with class numbers or depths.",
        )
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if len(values) and values.max(initial=0) > np.iinfo(kind).max:
        raise DataError(f"{path}: has the value {values.max()}; at most {np.iinfo(kind).max} is possible.")
    return values.astype(kind)
