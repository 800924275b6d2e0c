"""What features say about themselves. x is (n, D); "unit" rows have length 1; nothing is centred unless it says so."""

from __future__ import annotations

import math

import numpy as np
import scipy.linalg
import torch

ROWS = 2048  # rows taken together, so that memory stays bounded


def alignment(x: np.ndarray, y: np.ndarray, a: float = 2.0) -> float:
    """mean |x_i - y_i|^a over positive pairs of unit rows; 0 is best (Wang and Isola 2020, eq. 3)."""
    return float(np.mean(np.linalg.norm(x.astype(np.float64) - y, axis=1) ** a))


def alignment_within(x: np.ndarray, group: np.ndarray) -> float:
    """Alignment with a = 2 over all pairs of different unit rows of the same group, from sums over each group g::

    sum over pairs i < j in g of |x_i - x_j|^2  =  n_g sum |x_i|^2 - |sum x_i|^2
    """
    code, sizes = _codes(group)
    pairs = (sizes * (sizes - 1) / 2).sum()
    squares = np.bincount(code, np.einsum("nd,nd->n", x, x, dtype=np.float64))
    total = (sizes * squares - (_sums(x, code, len(sizes)) ** 2).sum(axis=1)).sum()
    return max(0.0, float(total / pairs)) if pairs else math.nan


def uniformity(x: np.ndarray, t: float = 2.0, device: torch.device | None = None) -> float:
    """log mean exp(-t |x_i - x_j|^2) over pairs i < j of unit rows; 0 is collapse, lower is more uniform (ibid., eq. 4)."""
    rows, total = torch.from_numpy(np.ascontiguousarray(x, np.float32)).to(device or "cpu"), 0.0
    for start in range(0, len(rows), ROWS):
        block = rows[start : start + ROWS]
        squared = (2 - 2 * (block @ rows[start:].T)).clamp_(min=0)  # |x - y|^2 = 2 - 2 x.y
        pairs = squared.mul_(-t).exp_().triu_(diagonal=1)
        total += float(pairs.sum(dim=1).cpu().double().sum())
    return math.log(total / (len(x) * (len(x) - 1) / 2))


def tolerance(x: np.ndarray, label: np.ndarray) -> float:
    """mean over ALL pairs i, j (i = j too) of x_i . x_j [same label], unit rows (Wang and Liu 2021, eq. 11): the mean over
    same-label pairs would be larger by about the number of classes."""
    code, sizes = _codes(label)
    return float((_sums(x, code, len(sizes)) ** 2).sum() / len(x) ** 2)


def channel_std(x: np.ndarray) -> float:
    """Standard deviation (n - 1) of each channel of unit rows, mean over channels: near 1 / sqrt(D) is healthy, 0 is
    collapse (Chen and He 2021, section 4.1)."""
    return float(x.std(axis=0, ddof=1, dtype=np.float64).mean())


def rankme(x: np.ndarray, eps: float = 1e-7) -> float:
    """exp(-sum p log p), p = s / sum(s) + eps, s the singular values of raw rows, 1 to min(n, D) (Garrido et al. 2023, eq. 2)."""
    return exp_entropy(singular_values(x), eps)


def participation_ratio(x: np.ndarray) -> float:
    """(sum l)^2 / sum l^2, l the eigenvalues of the covariance of raw rows (centred): how many dimensions share the variance."""
    eigenvalues = singular_values(x - x.mean(axis=0, dtype=np.float64).astype(x.dtype)) ** 2
    square = float((eigenvalues**2).sum())
    return float(eigenvalues.sum()) ** 2 / square if square else 0.0


def lidar(x: np.ndarray, group: np.ndarray, delta: float = 1e-4, eps: float = 1e-7) -> float:
    """exp(-sum p log p) of the eigenvalues l of S_w^-1/2 S_b S_w^-1/2, p = l / sum(l) + eps (Thilak et al. 2024, section 3).

    Over n groups (images) with q_g raw rows (views) each: S_b = covariance of the group means, 1 / (n - 1);
    S_w = scatter of the rows around their means, 1 / sum(q_g - 1), plus delta I. At most n - 1; NaN where n < 2 or no
    group has two rows.
    """
    code, sizes = _codes(group)
    if len(sizes) < 2 or len(x) == len(sizes):
        return math.nan
    means = _sums(x, code, len(sizes)) / sizes[:, None]
    centred = means - means.mean(axis=0)
    between = centred.T @ centred / (len(sizes) - 1)
    within = delta * np.eye(x.shape[1])
    for start in range(0, len(x), ROWS):
        part = x[start : start + ROWS] - means[code[start : start + ROWS]]
        within += part.T @ part / (len(x) - len(sizes))
    return exp_entropy(scipy.linalg.eigh(between, within, eigvals_only=True).clip(min=0), eps)


def exp_entropy(values: np.ndarray, eps: float) -> float:
    """exp(-sum p log p) with p = values / sum(values) + eps; values >= 0. Nothing but zeros has rank 0."""
    if not values.sum() > 0:
        return 0.0
    p = values / values.sum() + eps
    return float(np.exp(-(p * np.log(p)).sum()))


def singular_values(x: np.ndarray) -> np.ndarray:
    """Singular values of (n, D) in double precision, by QR of one block of rows after the other: x'x = R'R."""
    step = max(ROWS, 2 * x.shape[1])
    r = torch.empty(0, x.shape[1], dtype=torch.float64)
    for start in range(0, len(x), step):
        block = torch.from_numpy(np.array(x[start : start + step], dtype=np.float64))
        r = torch.linalg.qr(torch.cat([r, block]), mode="r").R
    values: np.ndarray = torch.linalg.svdvals(r).numpy()
    return values


def _codes(group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Groups numbered from 0, (n,), and their sizes."""
    _, code, sizes = np.unique(group, return_inverse=True, return_counts=True)
    return code, sizes


def _sums(x: np.ndarray, code: np.ndarray, groups: int) -> np.ndarray:
    """Sum of the rows of each group, (groups, D) float64."""
    sums, place = torch.zeros(groups, x.shape[1], dtype=torch.float64), torch.from_numpy(code)
    for start in range(0, len(x), ROWS):
        part = slice(start, start + ROWS)
        sums.index_add_(0, place[part], torch.from_numpy(np.array(x[part], dtype=np.float64)))
    return sums.numpy()
