"""What low-shot and semi-supervised evaluation share: normalised features into logistic regression, and its predictions."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ssl_bench.compute import Compute
from ssl_bench.data.features import Features
from ssl_bench.protocols.logistic import Logistic

Normalisation = Literal["centre_l2", "l2", "none"]
ROWS = 4096  # test rows classified together


def normalise(x: np.ndarray, how: Normalisation) -> np.ndarray:
    """(N, D) -> (N, D) float32, each sample by itself, so that train and test need nothing of each other.

    ``centre_l2``: MSN's, subtract the mean of the sample's own D values, then divide by its L2 norm (cyanure's
    ``preprocess`` with centring and ``columns=False``). ``l2``: the second only. A zero vector stays zero.
    """
    x = np.asarray(x, dtype=np.float32)
    if how == "none":
        return x
    if how == "centre_l2":
        x = x - x.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    size = np.linalg.norm(x, axis=1, keepdims=True)
    result: np.ndarray = x / np.where(size > 0, size, 1)
    return result


def tensors(x: np.ndarray, y: np.ndarray, how: Normalisation, compute: Compute) -> tuple[Tensor, Tensor]:
    """(1, N, D) normalised features and (1, N) labels on the device (the CPU instead of MPS, which has no doubles)."""
    device = torch.device("cpu") if compute.device.type == "mps" else compute.device
    return torch.from_numpy(normalise(x, how))[None].to(device), torch.from_numpy(y)[None].to(device)


def classify(solution: Logistic, part: Features, how: Normalisation) -> tuple[np.ndarray, np.ndarray]:
    """Predicted class and its probability, both (B, N), of the solution's B problems."""
    classes, scores = [], []
    for start in range(0, len(part), ROWS):
        x = torch.from_numpy(normalise(part.x[start : start + ROWS], how)).to(solution.weights.device)
        score, label = solution.logits(x).softmax(-1).max(-1)
        classes.append(label.cpu().numpy())
        scores.append(score.cpu().numpy())
    return np.concatenate(classes, 1), np.concatenate(scores, 1)
