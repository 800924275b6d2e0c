"""Many linear heads on one set of features, trained in one pass: a whole grid for little more than the price of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ssl_bench.protocols.heads import ROWS, Heads, Normalisation, Normaliser
from ssl_bench.training.schedules import cosine

GROUP = 1 << 25
"""Numbers in the weights, and in the logits of a batch, of the heads that are trained in one product (128 MB each)."""


@dataclass(frozen=True)
class Head:
    """Optimiser settings of one head. ``lr``: the peak, as it is used (already scaled by the batch size)."""

    lr: float
    weight_decay: float = 0.0


def train_grid(
    x: np.ndarray,
    y: np.ndarray,
    classes: int,
    heads: Sequence[Head],
    *,
    epochs: int,
    batch_size: int,
    normalisation: Normalisation = "batch_norm",
    momentum: float = 0.9,
    seed: int = 0,
    device: torch.device | None = None,
    advance: Callable[..., None] | None = None,
) -> Heads:
    """Train every head on ``x`` (N, D), ``y`` (N,) with cross-entropy, SGD and a cosine over all iterations to 0.

    All heads see the same batches in the same order (shuffled by ``seed``, the last partial batch kept) and start from
    the same N(0, 0.01) weights and zero bias, so each becomes what it would have become alone. ``advance`` is called
    once an epoch. A head whose learning rate is too large becomes NaN and touches no other.
    """
    device = device or torch.device("cpu")
    normaliser = Normaliser.of(x, normalisation, device)
    batches = _Batches(x, y, batch_size, normaliser, device)
    generator = torch.Generator().manual_seed(seed)
    start = (0.01 * torch.randn(classes, x.shape[1], generator=generator)).to(device)
    size = max(1, GROUP // (classes * max(x.shape[1], min(batch_size, len(y)))))
    groups = [_Group(start, heads[at : at + size], momentum) for at in range(0, len(heads), size)]
    step, total = 0, epochs * len(batches)
    for _ in range(epochs):
        for xb, yb in batches.epoch(generator):
            part = cosine(step, total, 1.0)
            for group in groups:
                group.step(xb, yb, part)
            step += 1
        if advance is not None:
            advance()
    weights, bias = (torch.cat(parts) for parts in zip(*(group.heads() for group in groups), strict=True))
    return Heads(weights, bias, normaliser)


class _Group:
    """Heads trained in one product: weights (C H, D), class after class, so that softmax and updates run along memory."""

    def __init__(self, start: Tensor, heads: Sequence[Head], momentum: float) -> None:
        self.classes, self.count, self.momentum = len(start), len(heads), momentum
        self.w = start.repeat_interleave(self.count, 0)
        self.b = self.w.new_zeros(len(self.w), 1)
        self.w_speed, self.b_speed = torch.zeros_like(self.w), torch.zeros_like(self.b)
        self.lr = self._column([head.lr for head in heads])
        decay = [head.weight_decay for head in heads]
        self.decay = self._column(decay) if any(decay) else None

    def _column(self, values: list[float]) -> Tensor:
        """One value a head -> one a row of the weights."""
        return torch.tensor(values, device=self.w.device).repeat(self.classes)[:, None]

    def step(self, x: Tensor, y: Tensor, part: float) -> None:
        """One step of SGD with learning rate ``part`` x lr. With P the softmax and Y the one-hot labels, the gradient of
        the cross-entropy is (P - Y)'X / n; then, as torch's SGD, mu <- m mu + g + wd w and w <- w - lr mu."""
        n = len(x)
        logits = torch.addmm(self.b, self.w, x.t()).view(self.classes, -1)
        residual = logits.softmax(0).view(self.classes, self.count, n)
        own = y.view(1, 1, n).expand(1, self.count, n)
        residual.scatter_add_(0, own, residual.new_tensor(-1.0).expand_as(own))
        residual = residual.view(-1, n)
        self.w_speed.addmm_(residual, x, beta=self.momentum, alpha=1 / n)
        self.b_speed.mul_(self.momentum).add_(residual.sum(1, keepdim=True), alpha=1 / n)
        if self.decay is not None:
            self.w_speed.addcmul_(self.w, self.decay)
            self.b_speed.addcmul_(self.b, self.decay)
        self.w.addcmul_(self.w_speed, self.lr, value=-part)
        self.b.addcmul_(self.b_speed, self.lr, value=-part)

    def heads(self) -> tuple[Tensor, Tensor]:
        """(H, C, D) weights and (H, C) bias."""
        weights = self.w.view(self.classes, self.count, -1).transpose(0, 1)
        return weights.contiguous(), self.b.view(self.classes, self.count).t().contiguous()


class _Batches:
    """Shuffled batches of normalised features. Features that fit are normalised once and kept on the device."""

    LIMIT = 4 << 30

    def __init__(self, x: np.ndarray, y: np.ndarray, size: int, normaliser: Normaliser, device: torch.device) -> None:
        self.source, self.y, self.size, self.device = x, torch.from_numpy(y).to(device), size, device
        self.normaliser = normaliser
        self.ready: Tensor | None = None
        if x.nbytes <= self.LIMIT:
            parts = (torch.from_numpy(np.array(x[at : at + ROWS])).to(device) for at in range(0, len(x), ROWS))
            self.ready = torch.cat([normaliser(part) for part in parts])

    def __len__(self) -> int:
        return -(-len(self.y) // self.size)

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        for rows in torch.split(torch.randperm(len(self.y), generator=generator), self.size):
            at = rows.to(self.device)
            if self.ready is not None:
                yield self.ready.index_select(0, at), self.y.index_select(0, at)
            else:
                block = torch.from_numpy(self.source[rows.numpy()]).to(self.device)
                yield self.normaliser(block), self.y.index_select(0, at)
