"""The synthetic features of the reference's section 16.1, on which its golden values were measured."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Golden(NamedTuple):
    """(N, D) float32 features and (N,) int64 labels."""

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


def golden_features(
    seed: int = 0, classes: int = 10, dim: int = 16, n_train: int = 500, n_test: int = 230, noise: float = 2.0
) -> Golden:
    """G(seed, C, D, n_train, n_test, noise): labels are index modulo C, x = mean[y] + noise * normal.

    The draw order matters: class means, train, test; numpy's legacy generator; float32 at the end.
    """
    random = np.random.RandomState(seed)
    means = random.standard_normal((classes, dim))
    train_y, test_y = np.arange(n_train) % classes, np.arange(n_test) % classes
    train_x = means[train_y] + noise * random.standard_normal((n_train, dim))
    test_x = means[test_y] + noise * random.standard_normal((n_test, dim))
    return Golden(train_x.astype(np.float32), train_y, test_x.astype(np.float32), test_y)
