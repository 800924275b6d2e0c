"""Search backends: who may be among the nearest train rows, with a proof of who cannot.

A backend is fast and rounds in its own way. It therefore only proposes candidates and says in ``rest`` how similar the
rows that it leaves out can be at most; :mod:`ssl_bench.protocols.neighbours` scores the candidates in one way for all
backends, and looks again where ``rest`` leaves a doubt. So all backends give the same neighbours.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import faiss
import numpy as np
import torch

CHUNK_BYTES = 16 * 2**20  # similarities in flight: stays near the processor's caches
GROUP = 16  # columns that are represented by their largest value in the first round of the selection
FAISS_GPU_LIMIT = 2048  # neighbours that faiss can find on a GPU


class Candidates(NamedTuple):
    """``rows`` (M, K) int64: rows of the bank; ``rest`` (M,): no other row is more similar than this."""

    rows: np.ndarray
    rest: np.ndarray


class Search(Protocol):
    """Rows of unit length in, candidates out."""

    def candidates(self, queries: np.ndarray, bank: np.ndarray, count: int) -> Candidates:
        """The ``count`` rows of ``bank`` (N, D) that seem most similar to each of ``queries`` (M, D); count <= N."""


def dot_error(dim: int) -> float:
    """How far two float32 dot products of the same unit vectors can be apart, whatever the order of summation: twice ::

    min(D, 8 sqrt(D)) u,  u = 2^-24

    The first holds always (Higham 2002, eq. 3.5, |x| |y| = 1); the second fails for one product in 10^10, if rounding
    errors are as good as random (Higham and Mary 2019, theorem 2.4). Seen on 384 and 2,048 dimensions: 12 u at most.
    """
    return 2.1 * min(dim, 8 * math.sqrt(dim)) * 2.0**-24 + 2.0**-21


class FaissSearch:
    """FAISS, exhaustive; ``gpu``: the number of a CUDA device, None: the processor."""

    def __init__(self, gpu: int | None = None) -> None:
        self.gpu = gpu
        self._resources: Any = None if gpu is None else faiss.StandardGpuResources()

    def candidates(self, queries: np.ndarray, bank: np.ndarray, count: int) -> Candidates:
        inner = faiss.METRIC_INNER_PRODUCT
        if self.gpu is None:
            similarity, index = faiss.knn(queries, bank, count, metric=inner)
        elif count <= FAISS_GPU_LIMIT:
            similarity, index = faiss.knn_gpu(self._resources, queries, bank, count, metric=inner, device=self.gpu)
        else:
            return TorchSearch(torch.device("cuda", self.gpu)).candidates(queries, bank, count)
        return Candidates(index, _rest(similarity[:, -1] + dot_error(bank.shape[1]), count, len(bank)))


class TorchSearch:
    """Matrix products in chunks of queries and a selection that reads every similarity once; any torch device."""

    def __init__(self, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self.device, self.dtype = device, dtype
        self._bank: np.ndarray | None = None

    def candidates(self, queries: np.ndarray, bank: np.ndarray, count: int) -> Candidates:
        if self._bank is not bank:
            self._bank, self._columns = bank, self._tensor(bank).T
            self._loss = _length_lost(torch.from_numpy(bank), self.dtype).max()
        step = max(1, CHUNK_BYTES // (len(bank) * self.dtype.itemsize))
        lowest, index = [], []
        for start in range(0, len(queries), step):
            similarity = self._tensor(queries[start : start + step]) @ self._columns
            values, columns = top_columns(similarity, count)
            lowest.append(values.amin(1).float().cpu())
            index.append(columns.cpu())
        found, last = torch.cat(index).numpy(), torch.cat(lowest)
        return Candidates(found, _rest((last + self._error(queries, last)).numpy(), count, len(bank)))

    def _tensor(self, rows: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(rows).to(self.device, self.dtype)

    def _error(self, queries: np.ndarray, similarity: torch.Tensor) -> torch.Tensor:
        """How far above ``similarity`` the true value may lie::

        x.y - x'.y' <= |x - x'| |y| + |x'| |y - y'|        (x', y': as rounded to ``dtype``; |x| = |y| = 1)

        and the result is rounded again, by at most ``u`` of itself.
        """
        u = 2.0**-8 if self.dtype == torch.bfloat16 or torch.get_float32_matmul_precision() != "highest" else 0.0
        lost = _length_lost(torch.from_numpy(queries), self.dtype)
        if u and self.dtype == torch.float32:  # TF32 or bf16 inside the product: the inputs are rounded out of sight
            lost = lost + 2 * u
        return 1.01 * (lost + self._loss + u * similarity.abs()) + dot_error(queries.shape[1])


def _length_lost(rows: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """|x - x'| of each row, (N,): what rounding to ``dtype`` takes away; in blocks, to save memory."""
    if dtype == rows.dtype:
        return torch.zeros(len(rows))
    return torch.cat([torch.linalg.vector_norm(part - part.to(dtype), dim=1) for part in torch.split(rows, 4096)])


def _rest(bound: np.ndarray, count: int, rows: int) -> np.ndarray:
    """Nobody is left out if all rows are candidates."""
    return np.full_like(bound, -np.inf) if count == rows else bound


def top_columns(values: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The ``count`` largest entries of each row of (M, N) and their columns, in no order.

    The columns are dealt into groups; a row's ``count`` largest lie in the ``count`` groups with the largest maxima
    (each other group's maximum is exceeded by that many). Maxima are one fast pass; only the rest is sorted.
    """
    rows, columns = values.shape
    width = columns // GROUP
    if width <= 2 * count:
        return tuple(values.topk(count, dim=1, sorted=False))  # type: ignore[return-value]
    best = values[:, : width * GROUP].view(rows, GROUP, width).amax(1).topk(count, dim=1, sorted=False).indices
    members = (best.unsqueeze(2) + torch.arange(0, width * GROUP, width, device=values.device)).flatten(1)
    tail = torch.arange(width * GROUP, columns, device=values.device).expand(rows, -1)
    members = torch.cat([members, tail], 1)
    top = values.gather(1, members).topk(count, dim=1, sorted=False)
    return top.values, members.gather(1, top.indices)
