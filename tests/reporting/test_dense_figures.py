"""Pictures of segmentation and depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command import ssl_bench
from PIL import Image

from ssl_bench.reporting.dense_figures import SIDE, depth_colours, legend, palette, squares


@pytest.mark.parametrize(("kind", "columns"), [("segmentation", 4), ("depth", 3)])
def test_a_row_for_every_image(tmp_path: Path, kind: str, columns: int) -> None:
    out = tmp_path / "picture.png"
    done = ssl_bench(
        "figure", kind, "--model", "random_vit_small32", "--count", 2, "--set", "steps=1", "--set", "batch_size=2", "--out", out
    )  # fmt: skip
    assert done.code == 0, done.err
    with Image.open(out) as picture:
        width, height = picture.size
        pixels = np.asarray(picture.convert("RGB"))
    assert columns * SIDE < width < (columns + 0.5) * SIDE
    assert 2 * SIDE < height < 3 * SIDE
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10


def test_a_task_that_does_not_fit(tmp_path: Path) -> None:
    out = tmp_path / "x.png"
    done = ssl_bench("figure", "depth", "--model", "random_vit_small32", "--task", "segment_shapes", "--out", out)
    assert done.code == 2
    assert "has the protocol segment, not depth" in done.err
    assert "--model" in ssl_bench("figure", "segmentation", "--out", out).err
    assert not out.exists()


@pytest.mark.parametrize("classes", [2, 6, 21, 150])
def test_classes_have_colours_of_their_own(classes: int) -> None:
    colours = palette(classes)
    assert colours[255].tolist() == [255, 255, 255]
    assert len(np.unique(colours[:classes], axis=0)) == classes
    near = [np.abs(colours[i].astype(int) - colours[i + 1]).sum() for i in range(classes - 1)]
    assert min(near) > 60


def test_near_is_bright_and_unknown_is_grey() -> None:
    drawn = depth_colours(np.array([[1.0, 2.0, 4.0, 0.0]]), 1.0, 4.0)
    light = drawn.sum(-1)[0]
    assert light[0] > light[1] > light[2]
    assert drawn[0, 3].tolist() == [0.5, 0.5, 0.5]


def test_pictures_become_squares_without_being_stretched() -> None:
    (made,) = squares([np.zeros((2, 4, 3), np.uint8)])
    assert made.shape == (4, 4, 3)
    assert made[:2].max() == 0
    assert made[2:].min() == 255


def test_the_legend_names_what_is_there() -> None:
    colours = palette(3)
    drawn = legend(np.array([[0, 2, 2, 255]]), ("a", "b", "c"), colours)
    found = {tuple(pixel) for pixel in drawn.reshape(-1, 3).tolist()}
    assert tuple(colours[2].tolist()) in found
    assert tuple(colours[1].tolist()) not in found
