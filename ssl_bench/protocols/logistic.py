"""Logistic regression with an L2 penalty, by L-BFGS, for several problems and a path of penalties at once.

For n samples (x_i, y_i) and penalty L, as facebookresearch/msn ``logistic_eval.py`` states it::

    minimise over W (C, D), b (C):    P(W, b) = (1/n) sum_i CE(W x_i + b, y_i) + (L/n) |W|^2 / 2

scikit-learn's ``LogisticRegression(C=1/L)`` has the same minimum. b is not penalised, and 0 unless asked for. With several
labels an image, sum_c BCE(w_c x_i + b_c, y_ic) stands for CE: one binary regression a class, each with its own minimum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_bench.protocols.lbfgs import SecantPairs, dot, line_search, times

CHUNK = 1 << 20
"""Logits looked at together: bounds temporary memory and keeps them in the processor's cache."""


@dataclass(frozen=True)
class Logistic:
    """Solutions of B problems. ``weights`` (B, C, D), ``bias`` (B, C); ``gap`` (B,): relative bound on how far the
    objective is from its minimum; ``iterations``: of this penalty alone."""

    penalty: float
    weights: Tensor
    bias: Tensor
    objective: Tensor
    gap: Tensor
    iterations: int

    def logits(self, x: Tensor) -> Tensor:
        """(N, D) or (B, N, D) -> (B, N, C)."""
        return x.to(self.weights.dtype) @ self.weights.mT + self.bias[:, None, :]


def logistic_path(
    x: Tensor,
    y: Tensor,
    classes: int,
    penalties: Sequence[float],
    *,
    intercept: bool = False,
    tolerance: float = 1e-3,
    max_iterations: int = 1000,
) -> list[Logistic]:
    """Solve ``x`` (B, N, D), ``y`` (B, N), or (B, N, C) bool for binary regressions, for every penalty, in the order given.

    Solved from the strongest penalty to the weakest, each started at the solution before. ``tolerance`` bounds the
    relative duality gap (MSN: 1e-3). Computes in the precision of ``x``; sums that decide are in double precision.
    """
    if x.ndim != 3 or y.shape not in {x.shape[:2], (*x.shape[:2], classes)} or min(penalties) <= 0:
        raise ValueError(f"x {tuple(x.shape)}, y {tuple(y.shape)}, penalties {penalties}")
    basis, weight = coordinates(x)
    z = x @ basis
    if intercept:
        z = torch.cat([z, torch.ones_like(z[..., :1])], -1)
        weight = torch.cat([weight, torch.zeros_like(weight[..., :1])], -1)
    problem = _Problem(z, y, classes, weight)
    found = {}
    for penalty in sorted(set(penalties), reverse=True):
        gap, iterations = problem.solve(penalty / x.shape[1], tolerance, max_iterations)
        w = problem.w[..., : basis.shape[-1]] @ basis.mT
        bias = problem.w[..., -1].clone() if intercept else torch.zeros_like(w[..., 0])
        found[penalty] = Logistic(penalty, w, bias, problem.value, gap, iterations)
    return [found[penalty] for penalty in penalties]


def coordinates(x: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates in which the problem is smaller and better conditioned; the minimum is the same.

    The solution's rows lie in the span of the samples (the representer theorem), so r = min(N, D) coordinates suffice.
    In the eigenbasis V of X'X, with eigenvalues s, W = A diag(h)^-1/2 V' with h = sqrt(1 + s / mean s), half-way (on a
    log scale) between the Hessian of the penalty and that of the loss. Returns the (B, D, r) matrix V diag(h)^-1/2,
    and the factors (B, 1, r) 1 / h of the penalty of A's columns.
    """
    span = torch.linalg.qr(x.double().mT).Q if x.shape[1] < x.shape[2] else None
    z = x if span is None else x.double() @ span
    values, vectors = torch.linalg.eigh((z.mT @ z).double())
    values = values.clamp_min(0)
    scale = values.mean(-1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    weight = (1 + values / scale).rsqrt()[:, None, :]
    basis = (vectors if span is None else span @ vectors) * weight.sqrt()
    return basis.to(x.dtype), weight.to(x.dtype)


class _Problem:
    """B problems in reduced coordinates: samples ``z`` (B, N, r), penalty factors ``weight`` (B, 1, r)."""

    def __init__(self, z: Tensor, y: Tensor, classes: int, weight: Tensor) -> None:
        self.z, self.y, self.weight = z, y, weight
        self.w = z.new_zeros(len(z), classes, z.shape[-1])
        self.pairs = SecantPairs()
        self.ridge = 0.0
        # Boehning's bound: the loss's Hessian is at most (1/2) X'X / n (binary: 1/4).
        self.curvature = 0.5 * z.double().square().sum(1).amax(-1) / z.shape[1]
        self.value = torch.zeros(len(z), dtype=torch.float64, device=z.device)

    def solve(self, ridge: float, tolerance: float, max_iterations: int) -> tuple[Tensor, int]:
        """Minimise with penalty weight ``ridge`` = L/n from where we stand; returns the relative gaps and the iterations."""
        self.pairs.add_curvature((ridge - self.ridge) * self.weight)
        self.ridge = ridge
        self.logits = self.z @ self.w.mT
        self.value, gradient = self.evaluate(self.logits, None, self.w)
        active = torch.ones_like(self.value, dtype=torch.bool)
        iteration = 0
        while (active := active & (self.gap(gradient) > tolerance)).any() and iteration < max_iterations:
            direction = (
                self.pairs.descent(gradient) if len(self.pairs) else times(-1 / (self.curvature + ridge), gradient)
            )
            gradient, active = self.advance(gradient, direction, active)
            iteration += 1
        return self.gap(gradient), iteration

    def gap(self, gradient: Tensor) -> Tensor:
        """(P(W) - min P) / P(W) is at most |grad|^2 / (2 (L/n) P), P being (L/n)-strongly convex (with the dual point
        softmax - one-hot, this is also the duality gap). The intercept counts as if it were penalised."""
        weight = torch.where(self.weight > 0, self.weight, 1.0)
        return dot(gradient, gradient / weight) / (2 * self.ridge * self.value)

    def advance(self, gradient: Tensor, direction: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        """One step; the new gradient, and which problems could still go down. The logits are linear along the
        direction, so a trial costs one matrix product."""
        slope, along = dot(gradient, direction), self.z @ direction.mT
        trial: list[Tensor] = []

        def evaluate(t: Tensor) -> tuple[Tensor, Tensor]:
            w = self.w + times(t, direction)
            value, at = self.evaluate(self.logits, times(t, along), w)
            trial[:] = [w, value, at]
            return value, dot(at, direction)

        t, moved = line_search(evaluate, self.value, slope, active & (slope < 0))
        w, self.value, new = trial
        self.logits += times(t, along)
        self.pairs.push(w - self.w, new - gradient)
        self.w = w
        return new, moved

    def evaluate(self, logits: Tensor, move: Tensor | None, w: Tensor) -> tuple[Tensor, Tensor]:
        """Value (B,) and gradient (B, C, r) of P at ``w``, whose logits (B, N, C) are ``logits + move``."""
        count, loss, gradient = self.z.shape[1], torch.zeros_like(self.value), self.ridge * self.weight * w
        residual_of = softmax_residual if self.y.ndim == 2 else sigmoid_residual
        rows = max(1, CHUNK // (w.shape[0] * w.shape[1]))
        for start in range(0, count, rows):
            part = slice(start, start + rows)
            chunk = logits[:, part] if move is None else logits[:, part] + move[:, part]
            losses, residual = residual_of(chunk, self.y[:, part])
            loss += losses.sum(1) / count
            gradient.baddbmm_(residual.mT, self.z[:, part], alpha=1 / count)
        return loss + self.ridge / 2 * dot(w, w * self.weight), gradient


def softmax_residual(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropies (B, N) in double precision, and softmax - one-hot (B, N, C).

    With r the probability of all wrong classes, the label's residual is -r and the loss -log(1 - r): both stay exact
    where the fit is nearly perfect and 1 - p would cancel.
    """
    own = y[..., None]
    total = logits.logsumexp(-1, keepdim=True)
    residual = (logits - total).exp_().scatter_(-1, own, 0.0)
    wrong = residual.sum(-1, keepdim=True)
    residual.scatter_(-1, own, -wrong)
    small = wrong.double().clamp_max(0.5)
    losses = torch.where(wrong < 0.5, -torch.log1p(-small), (total - logits.gather(-1, own)).double())
    return losses[..., 0], residual


def sigmoid_residual(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Sums (B, N) over the classes of the binary cross-entropies, in double precision, and sigmoid - label (B, N, C), for
    ``y`` (B, N, C) bool. With s = 1 - 2 y they are softplus(s z) and s sigmoid(s z): exact where the fit is nearly perfect."""
    sign = 1 - 2 * y.to(logits.dtype)
    signed = sign * logits
    return torch.nn.functional.softplus(signed).double().sum(-1), sign * signed.sigmoid()
