"""Linear heads on normalised features: what they predict, and how well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

Normalisation = Literal["batch_norm", "l2", "none"]
ROWS = 8192  # rows looked at together
LOGITS = 1 << 25  # logits held at once


@dataclass(frozen=True)
class Normaliser:
    """(N, D) -> (N, D). ``batch_norm``: MAE's batch norm without affine, with the training set's own mean and variance
    (eps 1e-6); ``l2``: each sample to length 1; ``none``: as it is (DINOv2)."""

    how: Normalisation
    mean: Tensor
    scale: Tensor

    @classmethod
    def of(cls, x: np.ndarray, how: Normalisation, device: torch.device) -> Normaliser:
        """Statistics over all rows, in double precision, a block of rows at a time."""
        mean, variance = np.zeros(x.shape[1]), np.ones(x.shape[1])
        if how == "batch_norm":
            blocks = range(0, len(x), ROWS)
            mean = sum((x[at : at + ROWS].sum(0, dtype=np.float64) for at in blocks), start=mean) / len(x)
            squares = (np.square(x[at : at + ROWS] - mean).sum(0) for at in blocks)
            variance = sum(squares, start=np.zeros(x.shape[1])) / len(x) + 1e-6
        tensors = [torch.from_numpy(v.astype(np.float32)).to(device) for v in (mean, 1 / np.sqrt(variance))]
        return cls(how, *tensors)

    def __call__(self, x: Tensor) -> Tensor:
        if self.how == "batch_norm":
            return (x - self.mean).mul_(self.scale)
        return torch.nn.functional.normalize(x, dim=1) if self.how == "l2" else x


@dataclass(frozen=True)
class Heads:
    """Trained heads: ``weights`` (G, C, D), ``bias`` (G, C), on normalised features."""

    weights: Tensor
    bias: Tensor
    normaliser: Normaliser

    def logits(self, x: np.ndarray) -> Iterator[tuple[slice, Tensor]]:
        """(N, D) -> blocks of rows, each with its (G, n, C) logits."""
        device = self.weights.device
        rows = max(1, min(ROWS, LOGITS // self.bias.numel()))
        for start in range(0, len(x), rows):
            block = self.normaliser(torch.from_numpy(np.array(x[start : start + rows], dtype=np.float32)).to(device))
            yield slice(start, start + rows), block @ self.weights.mT + self.bias[:, None, :]

    def only(self, head: int) -> Heads:
        """One of the heads."""
        return Heads(self.weights[head : head + 1], self.bias[head : head + 1], self.normaliser)

    def held_out(self, x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
        """(accuracy in percent, mean cross-entropy) of every head; (-1, inf) of one that diverged."""
        right, loss = self.bias.new_zeros(len(self.bias)), self.bias.new_zeros(len(self.bias))
        for rows, logits in self.logits(x):
            labels = torch.from_numpy(y[rows]).to(logits.device)
            own = logits.gather(2, labels.view(1, -1, 1).expand(len(logits), -1, 1))[..., 0]
            right += (logits.argmax(2) == labels).sum(1)
            loss += (logits.logsumexp(2) - own).sum(1)
        pairs = (
            (100 * hits / len(y), total / len(y)) for hits, total in zip(right.tolist(), loss.tolist(), strict=True)
        )
        return [(top1, ce) if np.isfinite(ce) else (-1.0, float("inf")) for top1, ce in pairs]


class Predicted(NamedTuple):
    """(N,) classes and their probabilities, and whether the label is among the first five."""

    label: np.ndarray
    score: np.ndarray
    in_top5: np.ndarray


def predict(head: Heads, x: np.ndarray, y: np.ndarray) -> Predicted:
    """What a single head says about ``x``."""
    parts = []
    for rows, (logits,) in head.logits(x):
        score, label = logits.softmax(1).max(1)
        own = torch.from_numpy(y[rows]).to(logits.device)[:, None]
        five = (logits.topk(min(5, logits.shape[1]), 1).indices == own).any(1)
        parts.append(tuple(column.cpu().numpy() for column in (label, score, five)))
    return Predicted(*(np.concatenate(column) for column in zip(*parts, strict=True)))
