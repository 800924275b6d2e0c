"""Ten learning rates of a linear head in one batched product, against one ordinary loop for one of them, in one run.

    python -m benchmarks.linear_grid [--small] [--processor-time]

The ordinary loop: nn.Linear, cross-entropy, SGD with momentum, a cosine over iterations; batches from a DataLoader over a
TensorDataset, as most scripts have it, or (``lean``) by indexing a tensor. The same batches, epochs and start in the lean
loop and in the grid. Best of alternating rounds. The last column: the largest
difference of a weight between the grid's head and the loop's, as a share of the largest weight. The arithmetic of ten
heads is ten times that of one, so the grid gains what a loop loses in small steps; with many classes it gains nothing.
``--processor-time``: one thread, and its processor time instead of the clock's, for a machine that does other work too.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, TensorDataset

from ssl_bench.protocols.grid import Head, train_grid

LRS = tuple(0.001 * 2**i for i in range(10))
ROUNDS = 5


class Sizes(NamedTuple):
    images: int = 50_000
    dim: int = 384
    classes: int = 10
    batch: int = 128
    epochs: int = 5


FULL = (
    Sizes(),
    Sizes(batch=256),
    Sizes(dim=192, batch=128),
    Sizes(5_000, 512, 10, 64, 20),
    Sizes(classes=100, batch=256, epochs=2),
    Sizes(20_000, classes=1000, batch=256, epochs=1),
)
SMALL = (Sizes(5_000, 128, 10, 64, 2),)


def make_data(sizes: Sizes) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    y = random.integers(0, sizes.classes, sizes.images)
    means = random.standard_normal((sizes.classes, sizes.dim), dtype=np.float32)
    return means[y] + 2 * random.standard_normal((sizes.images, sizes.dim), dtype=np.float32), y


def loop(x: np.ndarray, y: np.ndarray, sizes: Sizes, lr: float, lean: bool = True) -> torch.Tensor:
    """One head, as one writes it; its (C, D) weights."""
    features, labels = torch.from_numpy(x), torch.from_numpy(y)
    loader = DataLoader(TensorDataset(features, labels), sizes.batch, shuffle=True)
    generator = torch.Generator().manual_seed(0)
    layer = torch.nn.Linear(sizes.dim, sizes.classes)
    with torch.no_grad():
        layer.weight.copy_(0.01 * torch.randn(sizes.classes, sizes.dim, generator=generator))
        layer.bias.zero_()
    optimizer = torch.optim.SGD(layer.parameters(), lr=lr, momentum=0.9)
    steps = sizes.epochs * -(-sizes.images // sizes.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(sizes.epochs):
        order = torch.randperm(sizes.images, generator=generator)
        lean_batches = ((features[rows], labels[rows]) for rows in order.split(sizes.batch))
        for images, targets in lean_batches if lean else loader:
            loss = torch.nn.functional.cross_entropy(layer(images), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return layer.weight.detach()


def grid(x: np.ndarray, y: np.ndarray, sizes: Sizes) -> torch.Tensor:
    """All heads; their (10, C, D) weights."""
    heads = [Head(lr) for lr in LRS]
    trained = train_grid(
        x, y, sizes.classes, heads, epochs=sizes.epochs, batch_size=sizes.batch, normalisation="none", seed=0
    )
    return trained.weights


def measure(
    sizes: Sizes, rounds: int = ROUNDS, clock: Callable[[], float] = time.perf_counter
) -> tuple[dict[str, float], float]:
    """Best seconds of ``loop`` (once), ``lean``, ``ten lean`` (once) and ``grid``, and the largest relative difference of a weight."""
    x, y = make_data(sizes)
    best = {"lean": float("inf"), "grid": float("inf")}
    difference = 0.0
    for turn in range(rounds):
        which = turn % len(LRS)
        start = clock()
        alone = loop(x, y, sizes, LRS[which])
        middle = clock()
        together = grid(x, y, sizes)[which]
        best["grid"] = min(best["grid"], clock() - middle)
        best["lean"] = min(best["lean"], middle - start)
        difference = max(difference, float((together - alone).abs().max() / alone.abs().max()))
    start = clock()
    for lr in LRS:
        loop(x, y, sizes, lr)
    best["ten lean"] = clock() - start
    start = clock()
    loop(x, y, sizes, LRS[0], lean=False)
    best["loop"] = clock() - start
    return best, difference


def main() -> None:
    clock = time.perf_counter
    if "--processor-time" in sys.argv:
        clock = time.process_time
        torch.set_num_threads(1)
    seconds_of = ("loop", "lean", "ten lean", "grid")
    columns = ("images x D", "classes", "batch", *(f"{name}, s" for name in seconds_of))
    table = Table(*columns, "grid / loop", "grid / lean", "difference")
    table.title = f"Ten learning rates in one product, {torch.get_num_threads()} threads"
    for sizes in SMALL if "--small" in sys.argv else FULL:
        best, difference = measure(sizes, clock=clock)
        seconds = [f"{best[name]:.2f}" for name in seconds_of]
        ratios = [f"{best['grid'] / best[name]:.2f}" for name in ("loop", "lean")]
        shape = [f"{sizes.images:,} x {sizes.dim}", str(sizes.classes), str(sizes.batch)]
        table.add_row(*shape, *seconds, *ratios, f"{difference:.0e}")
    console = Console(width=120)
    console.print(table)
    console.print("Target: grid / loop at most 1.0, in the first row.")


if __name__ == "__main__":
    main()
