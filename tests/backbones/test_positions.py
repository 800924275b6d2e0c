"""Positions at another resolution against a restatement of cubic convolution, sample by sample."""

import math

import numpy as np
import pytest
import torch

from ssl_bench.backbones.positions import interpolate


def cubic_matrix(old: int, new: int, step: float) -> np.ndarray:
    """(new, old): row j samples at x = (j + 0.5) step - 0.5 with Keys' kernel, a = -0.75, edges repeated."""
    a, rows = -0.75, np.zeros((new, old))

    def kernel(d: float) -> float:
        d = abs(d)
        if d <= 1:
            return (a + 2) * d**3 - (a + 3) * d**2 + 1
        return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0

    for j in range(new):
        x = (j + 0.5) * step - 0.5
        for i in range(math.floor(x) - 1, math.floor(x) + 3):
            rows[j, min(max(i, 0), old - 1)] += kernel(x - i)
    return rows


@pytest.mark.parametrize("new", [(20, 20), (28, 10), (7, 9), (15, 14)])
@pytest.mark.parametrize("mode", ["plain", "dino"])
def test_agrees_with_cubic_convolution(mode: str, new: tuple[int, int]) -> None:
    old, dim = (14, 14), 5
    table = torch.randn(1, 196, dim, generator=torch.Generator().manual_seed(1))
    extra = 0.1 if mode == "dino" else 0.0
    down, across = (cubic_matrix(o, n, o / (n + extra)) for o, n in zip(old, new, strict=True))
    grid = table[0].numpy().reshape(14, 14, dim)
    expected = np.einsum("yi,xj,ijd->yxd", down, across, grid).reshape(1, -1, dim)
    np.testing.assert_allclose(interpolate(table, old, new, mode, new[0] == new[1]).numpy(), expected, atol=2e-5)


def test_the_two_conventions_differ() -> None:
    table = torch.randn(1, 196, 4, generator=torch.Generator().manual_seed(1))
    plain, dino = (interpolate(table, (14, 14), (20, 20), mode, True) for mode in ("plain", "dino"))
    assert (plain - dino).abs().max() > 1e-3


def test_same_grid_is_untouched_except_for_dino_on_images_that_are_not_square() -> None:
    table = torch.randn(1, 196, 4)
    for mode in ("plain", "dino", "antialias"):
        assert interpolate(table, (14, 14), (14, 14), mode, True) is table
    assert interpolate(table, (14, 14), (14, 14), "plain", False) is table
    # 224 x 230 pixels: 14 x 14 patches of 16, yet DINO's code resamples because the sides differ.
    assert not torch.equal(interpolate(table, (14, 14), (14, 14), "dino", False), table)
