"""Features: one vector an image, extracted once and kept on disk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Split


@dataclass(frozen=True)
class Features:
    """``x``: (N, D) float32, possibly memory-mapped; ``y``: (N,) int64 labels; ``index``: (N,) positions in the split.

    ``classes``: number of classes of the data set. ``broken``: identities of images that could not be read and were skipped.
    """

    x: np.ndarray
    y: np.ndarray
    index: np.ndarray
    classes: int
    broken: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.y)

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray, classes: int | None = None) -> Features:
        """Features from plain arrays."""
        y = np.asarray(y, dtype=np.int64)
        return cls(np.asarray(x, dtype=np.float32), y, np.arange(len(y)), classes or int(y.max(initial=-1)) + 1)


def extract(backbone: Backbone, split: Split, compute: Compute, embedding: str = "default") -> Features:
    """Features of all images of ``split``; taken from the store when this exact entry is there."""
    raise NotImplementedError
