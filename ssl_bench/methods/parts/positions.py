"""Fixed sine-cosine positions of the tokens of a grid."""

from __future__ import annotations

import torch


def sincos_2d(dim: int, height: int, width: int, prefix: int = 0) -> torch.Tensor:
    """(prefix + height * width, dim) positions as MAE and I-JEPA have them; ``dim`` is a multiple of 4.

    The first half of a row encodes the column x, the second half the row y, each as [sin(p w_k)]_k, [cos(p w_k)]_k with
    w_k = 10000^(-k / (dim / 4)). Tokens run row by row; ``prefix`` rows of zeros stand before them (class token).
    """
    frequency = 10000.0 ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim / 4))
    y, x = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    angles = [axis.reshape(-1, 1) * frequency for axis in (x, y)]
    grid = torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], dim=1)
    return torch.cat([grid.new_zeros(prefix, dim), grid]).float()
