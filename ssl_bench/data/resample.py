"""Pillow's 8-bit resampling as a few small matrix products, for the part of the result that a crop keeps.

Pillow resizes along the width, rounds to 8 bits, then along the height, and rounds again. Output pixel x of W' is

    out[x] = sum_i k((i - c + 1/2) / s) in[i] / sum_i k((i - c + 1/2) / s),   c = (x + 1/2) W / W',   s = max(W / W', 1)

over the i within support * s of c (source: Pillow, libImaging/Resample.c). A band of neighbouring output pixels reads
neighbouring input pixels only, so each band is one product with a small dense matrix, which a CPU does faster than the
sparse sums. Weights are rounded to Pillow's 22 bits, which float32 holds exactly; what is left of a difference is the rounding
of float32 sums, which decides where a value lies within some 1e-5 of a half.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

BAND = 16
"""Output pixels a product: large enough for the call's overhead, small enough for few zeros in the matrix."""


FIXED_POINT = 2**22


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys' kernel with a = -1/2."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.asarray(np.where(x < 1, near, np.where(x < 2, far, 0.0)))


def _lanczos(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0))


KERNELS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "bicubic": (_cubic, 2.0),
    "lanczos": (_lanczos, 3.0),
}
"""Interpolation -> kernel and its support in output pixels.

Not bilinear and box: their rational weights meet exact halves often (320 to 256: every fifth value), which float32 would
round to the wrong side.
"""


class Axis(NamedTuple):
    """One direction: ``size`` pixels are resized to ``resized``, of which ``length`` from ``start`` are kept."""

    size: int
    resized: int
    start: int
    length: int


class _Band(NamedTuple):
    """Output pixels [to, to + n) from the kept input pixels [at, at + L): ``weights`` (L, n) float32."""

    to: int
    at: int
    weights: torch.Tensor


def resample(pixels: torch.Tensor, width: Axis, height: Axis, interpolation: str) -> torch.Tensor:
    """(3, H, W) uint8, any strides -> (3, height.length, width.length) uint8."""
    left, right, across = _bands(width, interpolation)
    top, bottom, down = _bands(height, interpolation)
    rows = pixels[:, top:bottom, left:right].transpose(0, 1).numpy()
    x = torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32)).flatten(0, 1)  # NumPy's copy is the faster one
    y = torch.empty(len(x), width.length)
    for band in across:
        n = band.weights.shape[1]
        torch.mm(x[:, band.at : band.at + len(band.weights)], band.weights, out=y[:, band.to : band.to + n])
    y = _round(y).view(bottom - top, 3 * width.length)
    z = torch.empty(height.length, 3 * width.length)
    for band in down:
        n = band.weights.shape[1]
        torch.mm(band.weights.t(), y[band.at : band.at + len(band.weights)], out=z[band.to : band.to + n])
    return _round(z).to(torch.uint8).view(height.length, 3, width.length).transpose(0, 1)


def _round(x: torch.Tensor) -> torch.Tensor:
    """To the nearest of 0..255, halves up, in place."""
    return x.add_(0.5).floor_().clamp_(0, 255)


@lru_cache(maxsize=512)
def _bands(axis: Axis, interpolation: str) -> tuple[int, int, list[_Band]]:
    """First and last (excluded) input pixel that is read, and the bands, counted from the first."""
    kernel, support = KERNELS[interpolation]
    scale = axis.size / axis.resized
    stretch = max(scale, 1.0)
    centre = (np.arange(axis.start, axis.start + axis.length) + 0.5) * scale
    first = np.maximum((centre - support * stretch + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + support * stretch + 0.5).astype(np.int64), axis.size)
    taps = first[:, None] + np.arange(math.ceil(support * stretch) * 2 + 1)
    weights = np.where(taps < last[:, None], kernel((taps - centre[:, None] + 0.5) / stretch), 0.0)
    fixed = np.rint(weights / weights.sum(axis=1, keepdims=True) * FIXED_POINT) / FIXED_POINT
    begin, end = int(first.min()), int(last.max())
    taps = np.minimum(taps, end - 1) - begin
    bands = []
    for to in range(0, axis.length, BAND):
        part = slice(to, min(to + BAND, axis.length))
        at, stop = int(taps[part].min()), int(last[part].max()) - begin
        dense = np.zeros((stop - at, part.stop - to), dtype=np.float32)
        pixel = np.broadcast_to(np.arange(part.stop - to)[:, None], taps[part].shape)
        inside = fixed[part] != 0
        dense[taps[part][inside] - at, pixel[inside]] = fixed[part][inside]
        bands.append(_Band(to, at, torch.from_numpy(dense)))
    return begin, end, bands
