"""The linear SVM of Goyal et al. 2019 (arXiv 1905.01235) and its parts: normalisation, cross-validation, low-shot samples.

    minimise over w, b:  |w|^2 / 2 + b^2 / 2 + C sum_i k_i max(0, 1 - t_i (w x_i + b))^2,    k_i = 2 if t_i = 1 else 1

by liblinear's dual solver (scikit-learn's LinearSVC, as facebookresearch/fair_self_supervision_benchmark tools/svm).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.svm import LinearSVC

from ssl_bench.protocols.logistic_probe import ROWS

BENCHMARK_COSTS = (0.01, 0.1, *(0.5**power for power in range(4, 20)))
VISSL_COSTS = (0.01, 0.1, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 50.0, 100.0, 1000.0)


@dataclass(frozen=True)
class Solver:
    """What all fits of an evaluation share; see ``SvmSettings``."""

    positive_weight: float
    tolerance: float
    max_iterations: int
    seed: int

    def model(self, cost: float) -> LinearSVC:
        return LinearSVC(
            C=cost,
            class_weight={True: self.positive_weight, False: 1},
            loss="squared_hinge",
            dual=True,
            tol=self.tolerance,
            max_iter=self.max_iterations,
            random_state=self.seed,
        )

    def fit(self, x: np.ndarray, positive: np.ndarray, cost: float) -> tuple[np.ndarray, bool]:
        """(D + 1,) weights, the bias last, and whether the solver converged."""
        with quiet():
            model = self.model(cost).fit(x, positive)
        return np.append(model.coef_[0], model.intercept_[0]), bool(model.n_iter_ < self.max_iterations)

    def cross_validated(self, x: np.ndarray, positive: np.ndarray, cost: float, folds: int) -> float:
        """Mean AP (scikit-learn's, without interpolation) over ``folds`` consecutive stratified folds."""
        with quiet():
            scores = cross_val_score(self.model(cost), x, positive, cv=folds, scoring="average_precision")
        return float(scores.mean())


@dataclass(frozen=True)
class ClassFit:
    """One class: ``ap`` (costs,) cross-validated, ``weights`` (D + 1,) at the best cost, fitted to all images."""

    ap: np.ndarray
    weights: np.ndarray
    converged: bool


def fit_class(x: np.ndarray, positive: np.ndarray, costs: tuple[float, ...], folds: int, solver: Solver) -> ClassFit:
    """Choose the cost with the best cross-validated AP (of equal ones the first), fit to all images. With one cost nothing is
    chosen."""
    ap = np.zeros(len(costs))
    if len(costs) > 1:
        ap = np.array([solver.cross_validated(x, positive, cost, folds) for cost in costs])
    weights, converged = solver.fit(x, positive, costs[int(ap.argmax())])
    return ClassFit(ap, weights, converged)


def unit_length(x: np.ndarray) -> np.ndarray:
    """(N, D) -> (N, D) float64, each row divided by its L2 norm + 1e-5."""
    x = np.asarray(x, dtype=np.float64)
    scaled: np.ndarray = x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-5)
    return scaled


def decision(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(N, D) raw features and (C, D + 1) weights -> (N, C) scores, some rows at a time."""
    parts = (unit_length(x[start : start + ROWS]) for start in range(0, len(x), ROWS))
    return np.concatenate([part @ weights[:, :-1].T + weights[:, -1] for part in parts])


def low_shot_rows(present: np.ndarray, shots: int, classes: int, random: np.random.RandomState) -> np.ndarray:
    """Rows for one class, ``present`` (N,) of 1, 0, -1: ``shots`` images with it and (``classes`` - 1) times as many without
    it (all, where there are fewer), drawn without return."""
    negative = np.flatnonzero(present == 0)
    return np.concatenate(
        [
            random.choice(np.flatnonzero(present == 1), shots, replace=False),
            random.choice(negative, min(len(negative), (classes - 1) * shots), replace=False),
        ]
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Reaching the largest number of iterations is part of the protocol; it is counted, not warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
