"""Relative position bias of BEiT: one learned number for each head and each shift between two patches, and three for the
class token (microsoft/unilm beit/modeling_finetune.py)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from timm.layers.pos_embed_rel import gen_relative_position_index
from timm.models.beit import Attention

CLASS_ROWS = 3
"""Last rows of a table, in this order: from the class token to a patch, from a patch to it, from it to itself."""


def bias_of(table: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """((2 h - 1)(2 w - 1) + 3, heads) -> (heads, 1 + h w, 1 + h w), added to the scaled products of queries and keys; the
    class token is the first of both. Patch i is looked up at row (yi - yj + h - 1)(2 w - 1) + (xi - xj + w - 1) for key j."""
    index = gen_relative_position_index(grid, class_token=True, device=table.device)
    return table[index].permute(2, 0, 1)


def resample(table: torch.Tensor, old: tuple[int, int], new: tuple[int, int]) -> torch.Tensor:
    """The table of an ``old`` grid (h, w) for a ``new`` one: of finer steps near zero and coarser ones far away, where
    attention cares less. The rows of the class token stay as they are.

    Source: microsoft/unilm beit/run_class_finetuning.py, which does square grids; here each side is done by itself. timm
    has the same points and interpolates between them linearly.
    """
    if old == new:
        return table
    shifts, rest = table[:-CLASS_ROWS], table[-CLASS_ROWS:]
    down, across = (torch.from_numpy(_spline(o, n)).to(table) for o, n in zip(old, new, strict=True))
    maps = shifts.reshape(2 * old[0] - 1, 2 * old[1] - 1, -1)
    return torch.cat([torch.einsum("ya,xb,abn->yxn", down, across, maps).flatten(0, 1), rest])


class AnySizeAttention(Attention):  # type: ignore[misc, unused-ignore]
    """timm's attention with a table of its own, resampled for the ``grid`` of patches that it is told before each image."""

    grid: tuple[int, int]

    def _get_rel_pos_bias(self) -> torch.Tensor:
        height, width = self.window_size
        return bias_of(resample(self.relative_position_bias_table, (height, width), self.grid), self.grid)[None]


@lru_cache
def _spline(old: int, new: int) -> np.ndarray:
    """(2 new - 1, 2 old - 1): shifts -(old - 1)..old - 1 to shifts -(new - 1)..new - 1. The known values lie at 0 and
    +-(1, 1 + q, 1 + q + q^2, ...), where q makes the last of them new - 1; between them runs a cubic spline
    (not-a-knot, as scipy's former interp2d), and beyond them it is constant. A side that keeps its length is left alone."""
    if old == new:
        return np.eye(2 * old - 1)
    q = _ratio(old - 1, new - 1)
    one_side = np.cumsum(q ** np.arange(old - 1))
    known = np.concatenate([-one_side[::-1], [0.0], one_side])
    wanted = np.clip(np.arange(-(new - 1), new), known[0], known[-1])
    weights: np.ndarray = CubicSpline(known, np.eye(len(known)), bc_type="not-a-knot")(wanted)
    return weights


def _ratio(steps: int, length: int) -> float:
    """q in [1.01, 1.5] for which 1 + q + ... + q^(steps - 1) is nearest to ``length``, by bisection to 1e-6."""
    low, high = 1.01, 1.5
    while high - low > 1e-6:
        q = (low + high) / 2
        if (1 - q**steps) / (1 - q) > length:
            high = q
        else:
            low = q
    return q
