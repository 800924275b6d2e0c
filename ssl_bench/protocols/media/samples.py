"""Samples of any kind in a given order, made by worker processes; and training batches of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from ssl_bench.compute import Compute, rank, world_size
from ssl_bench.errors import DataError, ImageError, SslBenchError
from ssl_bench.training.batches import leave_signals_to_parent

ORDER = 71
Make = Callable[[int], Any]
"""Position in the split -> whatever the caller wants of it. Runs in a worker."""


@dataclass(frozen=True)
class Skipped:
    """A file that could not be read and, with ``--skip-broken``, is left out."""

    index: int
    message: str


def loaded(make: Make, indices: Sequence[int] | np.ndarray, batch_size: int, compute: Compute) -> Iterator[list[Any]]:
    """``make`` of the ``indices`` in their order, ``batch_size`` at a time. An :class:`SslBenchError` reaches the caller as it
    was raised; with ``compute.skip_broken`` an :class:`ImageError` becomes a :class:`Skipped` in its place."""
    loader = DataLoader(
        _Samples(make, np.asarray(indices, dtype=np.int64), compute.skip_broken),
        batch_size=batch_size,
        num_workers=min(compute.workers, -(-len(indices) // batch_size)),
        collate_fn=list,
        worker_init_fn=leave_signals_to_parent,
        # Without one the loader draws from the global generator, and a resumed training would not see what it saw before.
        generator=torch.Generator().manual_seed(0),
    )
    for items in loader:
        for item in items:
            if isinstance(item, SslBenchError):
                raise item
        yield items


class _Samples(TorchDataset[Any]):
    """An error is an item, not an exception: DataLoader would wrap it and lose its message."""

    def __init__(self, make: Make, indices: np.ndarray, skip: bool) -> None:
        self.make, self.indices, self.skip = make, indices, skip

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Any:
        index = int(self.indices[position])
        try:
            return self.make(index)
        except SslBenchError as error:
            if self.skip and isinstance(error, ImageError):
                return Skipped(index, error.message)
            return error


@dataclass(frozen=True)
class MediaBatches:
    """Batches for :func:`ssl_bench.training.supervised.fit`: each depends on (seed, epoch, step) alone.

    ``order(epoch)``: the samples of an epoch, ``length`` of them; ``make(epoch, index)``: one of them, in a worker;
    ``finish(samples, epoch, step)``: a batch on the device. ``size``: samples of a batch in each process. What does not
    fill a batch at the end of an epoch is left out. In place of a broken file, with ``--skip-broken``, another of the same
    batch comes twice.
    """

    order: Callable[[int], np.ndarray]
    length: int
    make: Callable[[int, int], Any]
    finish: Callable[[list[Any], int, int], Any]
    size: int
    compute: Compute

    def __len__(self) -> int:
        return self.length // (self.size * world_size())

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        whole = self.order(epoch)[: len(self) * self.size * world_size()]
        mine = whole.reshape(len(self), world_size(), self.size)[start:, rank()].reshape(-1)
        stream = loaded(_Of(self.make, epoch), mine, self.size, self.compute)
        for step, items in enumerate(stream, start=start):
            good = [item for item in items if not isinstance(item, Skipped)]
            for item in items:
                if isinstance(item, Skipped):
                    self.compute.progress.note(f"Skipped: {item.message}")
            if not good:
                raise DataError(f"None of the {len(items)} files of a training batch can be read.")
            yield self.finish([good[i % len(good)] for i in range(len(items))], epoch, step)


@dataclass(frozen=True)
class _Of:
    make: Callable[[int, int], Any]
    epoch: int

    def __call__(self, index: int) -> Any:
        return self.make(self.epoch, index)


def shuffled(count: int, compute: Compute) -> Callable[[int], np.ndarray]:
    """Every sample once an epoch, in an order of the seed and the epoch."""

    def order(epoch: int) -> np.ndarray:
        return torch.randperm(count, generator=compute.generator(ORDER, epoch)).numpy()

    return order
