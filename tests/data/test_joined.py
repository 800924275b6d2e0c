"""Two splits as one."""

from __future__ import annotations

import numpy as np
import pytest

from ssl_bench.data.joined import JoinedSplit
from ssl_bench.data.splits import ArraySplit
from ssl_bench.errors import DataError


def part(count: int, seed: int, side: int = 4, classes: tuple[str, ...] = ("a", "b")) -> ArraySplit:
    pixels = np.random.RandomState(seed).randint(0, 255, (count, side, side, 3), np.uint8)
    return ArraySplit(pixels, np.arange(count) % 2, classes)


def test_one_after_the_other() -> None:
    one, two = part(3, 0), part(2, 1)
    joined = JoinedSplit(one, two)
    assert len(joined) == 5
    assert joined.labels.tolist() == [0, 1, 0, 0, 1]
    assert [joined.identity(i) for i in range(5)] == [one.identity(i) for i in range(3)] + [
        two.identity(i) for i in range(2)
    ]
    assert np.array_equal(np.asarray(joined.image(3)), two.pixels[0])
    assert np.array_equal(joined.array(), np.concatenate([one.pixels, two.pixels]))
    assert joined.fingerprint != JoinedSplit(two, one).fingerprint
    assert joined.file(4) is None
    assert joined.subset([4, 0]).identity(0) == two.identity(1)


def test_images_of_two_sizes_have_no_array() -> None:
    assert JoinedSplit(part(2, 0), part(2, 0, side=5)).array() is None


def test_other_classes_cannot_be_joined() -> None:
    with pytest.raises(DataError, match="different classes"):
        JoinedSplit(part(2, 0), part(2, 1, classes=("b", "a")))
