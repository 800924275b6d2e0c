"""What every reader of boxes does with them: a few pixels over the edge are cut off, more is an error."""

from __future__ import annotations

import numpy as np

from ssl_bench.errors import DataError

SLACK = 4.0
"""Pixels that a box may reach beyond its image: annotators' tools round. Further out, it belongs to an image of another size."""


def outside(boxes: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """(n,) bool: boxes x1 y1 x2 y2 that lie more than ``SLACK`` pixels outside 0 to ``limits`` ((4,) or (n, 4)), are turned
    round or hold no numbers."""
    wrong: np.ndarray = ~np.isfinite(boxes).all(1) | (boxes < -SLACK).any(1) | (boxes > limits + SLACK).any(1)
    return wrong | (boxes[:, 2:] < boxes[:, :2]).any(1)


def clipped(boxes: np.ndarray, width: int, height: int, where: str) -> np.ndarray:
    """(n, 4) boxes -> the same, within the image; :class:`DataError` that names ``where`` if one is :func:`outside`."""
    limits = np.array([width, height, width, height])
    wrong = outside(boxes, limits)
    if wrong.any():
        box = ", ".join(f"{value:g}" for value in boxes[np.flatnonzero(wrong)[0]])
        raise DataError(
            f"{where}: the box ({box}) does not lie in the image of {width} x {height} pixels.",
            "Boxes are x1 y1 x2 y2 in pixels of the image file: was it resized after it was annotated?",
        )
    inside: np.ndarray = np.clip(boxes, 0, limits)
    return inside
