"""J and F of DAVIS against restatements in plain loops, and against OpenCV's dilation where it is installed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_bench.protocols.metrics.video_masks import boundary, boundary_accuracy, over_time, region_similarity


def boundary_in_loops(mask: np.ndarray) -> np.ndarray:
    """As the official tool: a pixel against its right, lower and diagonal neighbour; at the right edge only the lower one,
    at the lower edge only the right one, in the corner none."""
    height, width = mask.shape
    found = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            others = [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
            found[y, x] = any(mask[y, x] != mask[a, b] for a, b in others if a < height and b < width)
    return found


def f_in_loops(prediction: np.ndarray, truth: np.ndarray) -> float:
    radius = math.ceil(0.008 * math.sqrt(truth.shape[0] ** 2 + truth.shape[1] ** 2))
    found, wanted = (list(zip(*np.nonzero(boundary_in_loops(m)), strict=True)) for m in (prediction, truth))

    def near(points: list[tuple[int, int]], others: list[tuple[int, int]]) -> int:
        return sum(any((y - b) ** 2 + (x - a) ** 2 <= radius**2 for b, a in others) for y, x in points)

    if not found and not wanted:
        return 1.0
    if not found or not wanted:
        return 0.0
    p, r = near(found, wanted) / len(found), near(wanted, found) / len(wanted)
    return 0.0 if p + r == 0 else 2 * p * r / (p + r)


def blobs(seed: int, height: int, width: int) -> np.ndarray:
    random = np.random.RandomState(seed)
    rows, columns = np.mgrid[:height, :width]
    mask = np.zeros((height, width), bool)
    for _ in range(random.randint(0, 4)):
        y, x, r = random.randint(height), random.randint(width), random.uniform(1, height / 3)
        mask |= (rows - y) ** 2 + (columns - x) ** 2 <= r**2
    return mask


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(4, 40), st.integers(4, 150))
def test_j_and_f_are_those_of_plain_loops(seed: int, height: int, width: int) -> None:
    prediction, truth = blobs(seed, height, width), blobs(seed + 1, height, width)
    np.testing.assert_array_equal(boundary(truth), boundary_in_loops(truth))
    assert boundary_accuracy(prediction, truth) == pytest.approx(f_in_loops(prediction, truth))
    both = sum(a and b for a, b in zip(prediction.ravel(), truth.ravel(), strict=True))
    either = sum(a or b for a, b in zip(prediction.ravel(), truth.ravel(), strict=True))
    assert region_similarity(prediction, truth) == pytest.approx(both / either if either else 1)


def test_f_is_what_dilation_with_a_disk_gives() -> None:
    cv2 = pytest.importorskip("cv2")
    for seed in range(5):
        prediction, truth = blobs(seed, 480, 854), blobs(seed + 100, 480, 854) | blobs(seed, 480, 854)
        radius = 8  # ceil(0.008 x 979.7)
        y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        disk = (x**2 + y**2 <= radius**2).astype(np.uint8)
        found, wanted = boundary(prediction), boundary(truth)
        if not found.any() or not wanted.any():
            continue
        p = (found & (cv2.dilate(wanted.astype(np.uint8), disk) > 0)).sum() / found.sum()
        r = (wanted & (cv2.dilate(found.astype(np.uint8), disk) > 0)).sum() / wanted.sum()
        assert boundary_accuracy(prediction, truth) == pytest.approx(2 * p * r / (p + r) if p + r else 0)


def test_tolerance_shifts_and_empty_masks() -> None:
    truth = np.zeros((480, 854), bool)
    truth[100:200, 100:300] = True
    empty = np.zeros_like(truth)
    assert boundary_accuracy(truth, truth) == region_similarity(truth, truth) == 1
    assert boundary_accuracy(np.roll(truth, 8, 1), truth) == 1  # within 8 pixels
    assert 0 < boundary_accuracy(np.roll(truth, 9, 1), truth) < 1
    assert boundary_accuracy(empty, truth) == boundary_accuracy(truth, empty) == region_similarity(empty, truth) == 0
    assert boundary_accuracy(empty, empty) == region_similarity(empty, empty) == 1


def test_mean_recall_and_decay() -> None:
    values = np.linspace(1, 0, 21)
    mean, recall, decay = over_time(values)
    assert (mean, recall) == (pytest.approx(0.5), pytest.approx(10 / 21))
    assert decay == pytest.approx(values[:6].mean() - values[15:].mean())
    assert over_time(np.array([0.7]))[2] == 0
