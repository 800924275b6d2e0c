"""Position embeddings at another resolution than the trained one, as each code base does it."""

from __future__ import annotations

from typing import Literal

import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from torch.nn import functional as F

from ssl_bench.errors import SettingsError

Positions = Literal["plain", "dino", "antialias"]


def interpolate(
    table: torch.Tensor, grid: tuple[int, int], new: tuple[int, int], mode: Positions, square_image: bool
) -> torch.Tensor:
    """(1, grid h x grid w, D) positions of the patches -> (1, new h x new w, D), row by row.

    All are bicubic with half-pixel centres; they differ in the step between two samples:

    - ``plain``: step = grid / new (facebookresearch/mae util/pos_embed.py; DeiT).
    - ``dino``: step = grid / (new + 0.1); the 0.1 guards DINO's size computation against rounding, and shifts the
      samples. Applied to every image that is not square, and to every other grid
      (facebookresearch/dino vision_transformer.py, ``interpolate_pos_encoding``).
    - ``antialias``: as ``plain``, with a low-pass filter when shrinking (timm).
    """
    same = grid == new and (square_image or mode != "dino")
    if same:
        return table
    if mode == "antialias":
        resampled: torch.Tensor = resample_abs_pos_embed(table, list(new), list(grid), num_prefix_tokens=0)
        return resampled
    maps = table.float().reshape(1, *grid, -1).permute(0, 3, 1, 2)
    if mode == "dino":
        step = tuple((n + 0.1) / g for n, g in zip(new, grid, strict=True))
        maps = F.interpolate(maps, scale_factor=step, mode="bicubic", recompute_scale_factor=False)
    else:
        maps = F.interpolate(maps, size=new, mode="bicubic", align_corners=False)
    if tuple(maps.shape[-2:]) != new:
        raise SettingsError(f"The positions of a {grid} grid cannot be resampled to {new}.", "Use a larger image.")
    return maps.permute(0, 2, 3, 1).flatten(1, 2).to(table.dtype)
