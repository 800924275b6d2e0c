"""Low-shot logistic regression against scikit-learn and cyanure, at equal accuracy of the solution, in one run.

    python -m benchmarks.low_shot [--small] [--processor-time] [--no-cyanure]

1000 classes with 1, 2 and 5 images, 384 dimensions whose spread falls as 1/sqrt(j), MSN's normalisation, three splits, five
penalties from strong to weak, each started from the solution before (all can do that). Equal accuracy: a relative duality
gap of 1e-3 at every penalty, the one that MSN asks of cyanure. scikit-learn stops by the gradient, so the loosest power of
ten that reaches the gap is looked for first, on the first split, outside the time: one for all penalties, as a user would
set it, and (``tuned``) one for each, which nobody knows beforehand. ``gap``: the worst reached, measured by the same
function for all. ``top1``: mean over splits at the weakest penalty on 5,000 further samples. cyanure takes minutes.
``--processor-time``: one thread, and its processor time instead of the clock's, for a machine that does other work too.
"""

from __future__ import annotations

import importlib.util
import sys
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from ssl_bench.protocols.logistic import logistic_path
from ssl_bench.protocols.logistic_probe import normalise

PENALTIES = (0.25, 0.025, 0.0025, 0.00025, 0.000025)
GAP = 1e-3
Weights = list[list[np.ndarray]]
"""(C, D) for each split and penalty."""


class Sizes(NamedTuple):
    classes: int = 1000
    dim: int = 384
    splits: int = 3
    tests: int = 5000


SMALL = Sizes(100, 64)


class Data(NamedTuple):
    """(splits, N, D) and (splits, N); test (M, D) and (M)."""

    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


def make_data(sizes: Sizes, shots: int) -> Data:
    random = np.random.default_rng(0)
    spread = np.arange(1, sizes.dim + 1) ** -0.5
    means = random.standard_normal((sizes.classes, sizes.dim))

    def draw(y: np.ndarray) -> np.ndarray:
        return normalise((means[y] + 2 * random.standard_normal((len(y), sizes.dim))) * spread, "centre_l2")

    y = np.tile(np.arange(sizes.classes), shots)
    test_y = random.integers(0, sizes.classes, sizes.tests)
    return Data(np.stack([draw(y) for _ in range(sizes.splits)]), np.tile(y, (sizes.splits, 1)), draw(test_y), test_y)


def gap(x: np.ndarray, y: np.ndarray, w: np.ndarray, penalty: float) -> float:
    """Relative duality gap |grad|^2 / (2 (L/n) P) in double precision, for any solver's weights."""
    n = len(y)
    x, w = x.astype(np.float64), w.astype(np.float64)
    logits = x @ w.T
    total = np.logaddexp.reduce(logits, axis=1)
    p = np.exp(logits - total[:, None])
    p[np.arange(n), y] = 0
    p[np.arange(n), y] = -p.sum(1)  # exact where the fit is nearly perfect
    gradient = p.T @ x / n + penalty / n * w
    value = -np.log1p(p[np.arange(n), y]).mean() + penalty / n / 2 * (w**2).sum()
    return float((gradient**2).sum() / (2 * penalty / n * value))


def ours(data: Data) -> Weights:
    path = logistic_path(
        torch.from_numpy(data.x), torch.from_numpy(data.y), int(data.y.max()) + 1, PENALTIES, tolerance=GAP
    )
    return [[solution.weights[split].numpy() for solution in path] for split in range(len(data.x))]


def scikit_learn(data: Data, tolerances: tuple[float, ...]) -> Weights:
    found: Weights = []
    for x, y in zip(data.x, data.y, strict=True):
        model = LogisticRegression(fit_intercept=False, warm_start=True, max_iter=10_000)
        found.append([])
        for penalty, tolerance in zip(PENALTIES, tolerances, strict=True):
            model.set_params(C=1 / penalty, tol=tolerance).fit(x, y)
            found[-1].append(model.coef_.copy())
    return found


def tolerances_for(data: Data) -> tuple[float, ...]:
    """The loosest power of ten for each penalty with which scikit-learn reaches the gap on the first split."""
    model = LogisticRegression(fit_intercept=False, warm_start=True, max_iter=10_000)
    x, y, found = data.x[0], data.y[0], []
    for penalty in PENALTIES:
        for power in range(4, 10):
            model.set_params(C=1 / penalty, tol=10.0**-power).fit(x, y)
            if gap(x, y, model.coef_, penalty) <= GAP:
                break
        found.append(10.0**-power)
    return tuple(found)


def cyanure(data: Data, threads: int) -> Weights:
    from cyanure.estimators import Classifier

    found: Weights = []
    for x, y in zip(data.x, data.y, strict=True):
        model = Classifier(
            loss="multiclass-logistic",
            fit_intercept=False,
            tol=GAP,
            max_iter=300,
            warm_start=True,
            verbose=False,
            n_threads=threads,
        )
        found.append([])
        for penalty in PENALTIES:
            model.lambda_1 = penalty / len(y)
            model.fit(x.copy(), y)
            found[-1].append(np.array(model.coef_).T.copy())
    return found


def measure(
    sizes: Sizes, shots: int, rounds: int, clock: Callable[[], float]
) -> tuple[dict[str, dict[str, float]], tuple[float, ...]]:
    """Contestant -> ``seconds`` (best), ``gap`` (worst), ``top1`` (percent); and scikit-learn's tolerances."""
    data = make_data(sizes, shots)
    tolerances = tolerances_for(data)
    contestants: dict[str, Callable[[], Weights]] = {
        "ssl-bench": lambda: ours(data),
        "scikit-learn": lambda: scikit_learn(data, (min(tolerances),) * len(PENALTIES)),
        "scikit-learn, tuned": lambda: scikit_learn(data, tolerances),
    }
    if importlib.util.find_spec("cyanure") and "--no-cyanure" not in sys.argv:
        contestants["cyanure"] = lambda: cyanure(data, torch.get_num_threads())
    table = {name: {"seconds": float("inf")} for name in contestants}
    for _ in range(rounds):
        for name, solve in contestants.items():
            start = clock()
            found = solve()
            row = table[name]
            row["seconds"] = min(row["seconds"], clock() - start)
            row["gap"] = max(
                gap(x, y, w, penalty)
                for x, y, path in zip(data.x, data.y, found, strict=True)
                for w, penalty in zip(path, PENALTIES, strict=True)
            )
            right = [((data.test_x @ path[-1].T).argmax(1) == data.test_y).mean() for path in found]
            row["top1"] = 100 * float(np.mean(right))
    return table, tolerances


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
    clock, threads = time.perf_counter, torch.get_num_threads()
    if "--processor-time" in sys.argv:
        clock, threads = time.process_time, 1
        torch.set_num_threads(1)
    sizes, rounds = (SMALL, 3) if "--small" in sys.argv else (Sizes(), 1)
    table = Table("images a class", "solver", "seconds", "times ours", "worst gap", "top1, %")
    shape = f"{sizes.classes} classes, D {sizes.dim}, {sizes.splits} splits, {len(PENALTIES)} penalties"
    table.title = f"Logistic regression, {shape}, {threads} threads"
    console = Console(width=140)
    with threadpool_limits(threads):
        ours(make_data(SMALL, 1))  # what is done once in a process is not measured
        for shots in (1, 2, 5):
            rows, tolerances = measure(sizes, shots, rounds, clock)
            for name, row in rows.items():
                ratio = row["seconds"] / rows["ssl-bench"]["seconds"]
                note = f" (tol {', '.join(f'{t:.0e}' for t in tolerances)})" if "tuned" in name else ""
                columns = [f"{row['seconds']:.2f}", f"{ratio:.1f}", f"{row['gap']:.0e}", f"{row['top1']:.1f}"]
                table.add_row(str(shots), name + note, *columns)
                console.print(shots, name, *columns)  # the whole takes a quarter of an hour: what is known, at once
    console.print(table)
    console.print(
        "Targets: scikit-learn at least 5 times ours, cyanure at least 8 times. cyanure: pip install cyanure."
    )


if __name__ == "__main__":
    main()
