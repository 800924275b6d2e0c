"""Weighted k-NN against the bare matrix product that it cannot do without, and against its peers, in one run.

    python -m benchmarks.knn [--small] [--processor-time]

50,000 train and 5,000 test vectors of 384 dimensions, 1,000 classes. The product: all similarities in float32 by torch,
in chunks that fit the caches, nothing kept. The table says how often each contestant takes the time of the product (best
of alternating rounds, so that other work on the machine hits all alike), how much memory it takes beyond the features
(each in a process of its own; Linux only), and how many of its predictions are ours. ``--processor-time``: on one thread,
the time that the processor worked for us; it does not suffer from what else the machine does.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import faiss
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from ssl_bench.compute import Compute
from ssl_bench.data.features import Features
from ssl_bench.protocols.knn import Knn, KnnSettings

ROUNDS = 3
TEMPERATURE = 0.07
COLUMNS = {"seconds": 3, "ratio": 2, "memory_mb": 0, "agreement": 2}


class Sizes(NamedTuple):
    train: int = 50_000
    test: int = 5_000
    dim: int = 384
    classes: int = 1_000


class Data(NamedTuple):
    """Vectors of length 1 around class means, as all peers but ours want them."""

    train: Features
    test: Features


SMALL = Sizes(10_000, 1_000, 128, 100)


def make_data(sizes: Sizes) -> Data:
    random = np.random.default_rng(0)
    means = random.standard_normal((sizes.classes, sizes.dim), dtype=np.float32)

    def part(count: int) -> Features:
        y = random.integers(0, sizes.classes, count)
        x = random.standard_normal((count, sizes.dim), dtype=np.float32)
        for start in range(0, count, 1000):  # in place: the peak of memory is measured later
            rows = x[start : start + 1000]
            rows += 0.2 * means[y[start : start + 1000]]
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return Features.of(x, y, sizes.classes)

    return Data(part(sizes.train), part(sizes.test))


def product(data: Data) -> None:
    """All similarities, 1,024 train vectors at a time (the fastest of the chunkings tried), thrown away."""
    train, test = torch.from_numpy(data.train.x), torch.from_numpy(data.test.x)
    for block in train.split(1024):
        torch.mm(test, block.T)


def ours(data: Data, k: tuple[int, ...], precision: str = "fp32") -> np.ndarray:
    settings = KnnSettings(k=k, temperature=TEMPERATURE, search_precision=precision)  # type: ignore[arg-type]
    predictions = Knn().evaluate_features(data.train, data.test, settings, Compute()).predictions
    assert predictions is not None
    return predictions.prediction


def faiss_alone(data: Data, k: int) -> None:
    faiss.knn(data.test.x, data.train.x, k, metric=faiss.METRIC_INNER_PRODUCT)


def plain_loop(data: Data, k: int) -> np.ndarray:
    """The same rule written as DINO's script goes about it: test rows in 100 chunks, top-k of whole rows, a one-hot
    table of all neighbours and classes, all classes sorted."""
    train, labels, classes = torch.from_numpy(data.train.x), torch.from_numpy(data.train.y), data.train.classes
    found = []
    for chunk in torch.from_numpy(data.test.x).split(max(1, len(data.test) // 100)):
        similarity, index = (chunk @ train.T).topk(k, dim=1)
        table = torch.zeros(len(chunk) * k, classes).scatter_(1, labels[index].view(-1, 1), 1.0)
        weights = (similarity / TEMPERATURE).exp().unsqueeze(2)
        scores = (table.view(len(chunk), k, classes) * weights).sum(dim=1)
        found.append(scores.sort(dim=1, descending=True).indices[:, 0])
    return torch.cat(found).numpy()


def lightly(data: Data, k: int) -> np.ndarray:
    from lightly.utils.benchmarking import knn_predict

    bank, labels = torch.from_numpy(data.train.x).T.contiguous(), torch.from_numpy(data.train.y)
    chunks = torch.from_numpy(data.test.x).split(256)
    ranks = [knn_predict(chunk, bank, labels, data.train.classes, k, TEMPERATURE)[:, 0] for chunk in chunks]
    return torch.cat(ranks).numpy()


def scikit_learn(data: Data, k: int) -> np.ndarray:
    from sklearn.neighbors import KNeighborsClassifier

    def weigh(distance: np.ndarray) -> np.ndarray:
        return np.exp((1 - distance) / TEMPERATURE)

    model = KNeighborsClassifier(k, algorithm="brute", metric="cosine", weights=weigh)
    found: np.ndarray = model.fit(data.train.x, data.train.y).predict(data.test.x)
    return found


CONTESTANTS: dict[str, tuple[int, Callable[[Data], np.ndarray | None]]] = {
    "bare fp32 product": (0, product),
    "ssl-bench, k 10 to 200 in one search": (20, lambda data: ours(data, (10, 20, 100, 200))),
    "FAISS, the search alone, k 200": (0, lambda data: faiss_alone(data, 200)),
    "plain loop as DINO's, k 200": (200, lambda data: plain_loop(data, 200)),
    "lightly, k 200": (200, lambda data: lightly(data, 200)),
    "scikit-learn, k 200": (200, lambda data: scikit_learn(data, 200)),
    "ssl-bench, k 20": (20, lambda data: ours(data, (20,))),
    "ssl-bench, k 20, bf16 and re-ranking": (20, lambda data: ours(data, (20,), "bf16_rerank")),
}
"""Name -> the k of its predictions (0: it makes none) and what is timed; the product comes first."""


def measure(
    sizes: Sizes, rounds: int = ROUNDS, clock: Callable[[], float] = time.perf_counter
) -> dict[str, dict[str, float]]:
    """Contestant -> ``seconds`` (best), ``ratio`` to the product, ``agreement`` in percent, ``memory_mb`` beyond the features."""
    data = make_data(sizes)
    expected = {k: ours(data, (k,)) for k in (20, 200)}
    seconds = {
        name: float("inf") for name in CONTESTANTS if "lightly" not in name or importlib.util.find_spec("lightly")
    }
    table: dict[str, dict[str, float]] = {name: {} for name in seconds}
    for _ in range(rounds):
        for name in seconds:
            k, run = CONTESTANTS[name]
            start = clock()
            found = run(data)
            seconds[name] = min(seconds[name], clock() - start)
            if found is not None:
                table[name]["agreement"] = 100 * float((found == expected[k]).mean())
    bare = next(iter(seconds.values()))
    for name, best in seconds.items():
        table[name] |= {"seconds": best, "ratio": best / bare}
        if sys.platform == "linux":
            table[name]["memory_mb"] = memory_in_own_process(name, sizes)
    return table


def memory_in_own_process(name: str, sizes: Sizes) -> float:
    command = [sys.executable, "-m", "benchmarks.knn", "--memory-of", name, *map(str, sizes)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def extra_memory(name: str, sizes: Sizes) -> float:
    """MB (2^20) by which the process's peak rises over what it holds before; libraries are loaded by a tiny run first."""
    run = CONTESTANTS[name][1]
    run(make_data(Sizes(500, 40, 8, 5)))
    data = make_data(sizes)
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    run(data)
    return (_status("VmHWM") - before) / 1024


def _status(field: str) -> int:
    """A line of Linux's account of this process, in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def main() -> None:
    if sys.argv[1:2] == ["--memory-of"]:
        print(extra_memory(sys.argv[2], Sizes(*map(int, sys.argv[3:]))))
        return
    clock = time.perf_counter
    if "--processor-time" in sys.argv:
        clock = time.process_time
        torch.set_num_threads(1)
        faiss.omp_set_num_threads(1)
    sizes = SMALL if "--small" in sys.argv else Sizes()
    problem = f"{sizes.train:,} x {sizes.test:,}, d {sizes.dim}, {sizes.classes} classes"
    table = Table("", "seconds", "ratio to the product", "extra memory, MB", "same predictions, %")
    table.title = f"Weighted k-NN, {problem}, {torch.get_num_threads()} threads"
    for name, row in measure(sizes, clock=clock).items():
        shown = [f"{row[key]:.{digits}f}" if key in row else "" for key, digits in COLUMNS.items()]
        table.add_row(name, *shown)
    console = Console(width=120)
    console.print(table)
    console.print("Targets at full size: 1.3 for all k in one search, under 200 MB; below 1.0 with bf16 at k 20.")


if __name__ == "__main__":
    main()
