"""BEiT's table of relative positions on another grid, against FITPACK's splines and against timm."""

import math

import numpy as np
import pytest
import torch
from proofs.beits import bias
from scipy.interpolate import RectBivariateSpline
from timm.layers.pos_embed_rel import resize_rel_pos_bias_table

from ssl_bench.backbones.relative_positions import bias_of, resample

HEADS = 3


def table_of(height: int, width: int) -> torch.Tensor:
    rows = (2 * height - 1) * (2 * width - 1) + 3
    return torch.randn(rows, HEADS, generator=torch.Generator().manual_seed(rows))


def known_shifts(old: int, new: int) -> list[float]:
    """Where the old values lie on the new axis: steps that grow by a constant ratio, found by bisection, to reach its end."""
    low, high = 1.01, 1.5
    while high - low > 1e-6:
        ratio = (low + high) / 2
        low, high = (low, ratio) if sum(ratio**k for k in range(old - 1)) > new - 1 else (ratio, high)
    one_side = [sum(ratio**k for k in range(n)) for n in range(1, old)]
    return [-x for x in reversed(one_side)] + [0.0] + one_side


def by_fitpack(table: torch.Tensor, old: tuple[int, int], new: tuple[int, int]) -> torch.Tensor:
    """Interpolating bicubic splines, head by head, as scipy's former interp2d made them; beyond their ends, their ends."""
    y, x = (known_shifts(o, n) if o != n else range(1 - o, o) for o, n in zip(old, new, strict=True))
    wanted_y, wanted_x = (np.arange(-(n - 1), n, dtype=float) for n in new)
    columns = []
    for head in range(table.shape[1]):
        values = table[:-3, head].reshape(2 * old[0] - 1, 2 * old[1] - 1).double().numpy()
        columns.append(RectBivariateSpline(y, x, values, s=0)(wanted_y, wanted_x).reshape(-1))
    return torch.cat([torch.from_numpy(np.stack(columns, axis=1)).float(), table[-3:]])


@pytest.mark.parametrize("new", [(24, 24), (40, 40), (15, 15), (10, 10), (6, 6), (20, 31), (14, 16), (1, 1)])
def test_is_the_authors_spline(new: tuple[int, int]) -> None:
    table = table_of(14, 14)
    found = resample(table, (14, 14), new)
    assert found.shape == ((2 * new[0] - 1) * (2 * new[1] - 1) + 3, HEADS)
    torch.testing.assert_close(found, by_fitpack(table, (14, 14), new), atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(found[-3:], table[-3:], atol=0, rtol=0)


def test_from_a_grid_that_is_not_square() -> None:
    table = table_of(7, 12)
    torch.testing.assert_close(
        resample(table, (7, 12), (9, 20)), by_fitpack(table, (7, 12), (9, 20)), atol=2e-5, rtol=1e-4
    )


def test_the_same_grid_is_untouched() -> None:
    table = table_of(14, 14)
    assert resample(table, (14, 14), (14, 14)) is table


@pytest.mark.filterwarnings("ignore::UserWarning:timm")
@pytest.mark.parametrize("new", [20, 24, 40])
def test_agrees_with_timm_where_lines_and_splines_do(new: int) -> None:
    """timm draws straight lines between the same points. A table that is linear in them is the same for both."""
    points = torch.tensor(known_shifts(14, new))
    plane = points[:, None] * torch.tensor([0.3, -1.0, 2.0]) + points[:, None, None] * torch.tensor([1.0, 0.2, -0.7])
    for shifts, agree in ((plane.reshape(-1, 3), True), (table_of(14, 14)[:-3], False)):
        table = torch.cat([shifts, table_of(14, 14)[-3:]])
        shape = ((2 * new - 1) ** 2 + 3, 3)
        timms = resize_rel_pos_bias_table(table, new_window_size=(new, new), new_bias_shape=shape)
        ours = resample(table, (14, 14), (new, new))
        assert torch.allclose(ours, timms, atol=1e-3) == agree
        torch.testing.assert_close(ours[-3:], timms[-3:])


def test_gradients_reach_the_table() -> None:
    table = table_of(4, 4).requires_grad_()
    bias_of(resample(table, (4, 4), (6, 5)), (6, 5)).sum().backward()
    assert table.grad is not None
    assert (table.grad != 0).all()


@pytest.mark.parametrize("grid", [(4, 4), (3, 5)])
def test_looks_up_every_pair_of_patches(grid: tuple[int, int]) -> None:
    table = table_of(*grid)
    found = bias_of(table, grid)
    assert found.shape == (HEADS, 1 + math.prod(grid), 1 + math.prod(grid))
    torch.testing.assert_close(found, bias(table, *grid))
