"""L-BFGS for several independent convex problems at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def dot(a: Tensor, b: Tensor) -> Tensor:
    """(B,) inner products of (B, ...) tensors, summed in double precision."""
    return (a * b).flatten(1).sum(1, dtype=torch.float64)


def times(factor: Tensor, a: Tensor) -> Tensor:
    """(B,) factors times a (B, ...) tensor, in the tensor's precision."""
    return factor.to(a.dtype).view(-1, *[1] * (a.ndim - 1)) * a


class SecantPairs:
    """The last ``memory`` pairs s = x' - x, y = g' - g, and the direction they give (Nocedal and Wright 2006, algorithm 7.4)."""

    def __init__(self, memory: int = 10) -> None:
        self.memory = memory
        self.pairs: list[tuple[Tensor, Tensor]] = []

    def __len__(self) -> int:
        return len(self.pairs)

    def push(self, step: Tensor, change: Tensor) -> None:
        self.pairs = [*self.pairs, (step, change)][-self.memory :]

    def add_curvature(self, extra: Tensor) -> None:
        """The objective gets a further quadratic term with diagonal Hessian ``extra``: every pair stays an exact secant."""
        self.pairs = [(s, y + extra * s) for s, y in self.pairs]

    def descent(self, gradient: Tensor) -> Tensor:
        """-H g, with H the inverse Hessian that the pairs imply; H_0 = (s'y / y'y) I with the newest pair."""
        q, back = -gradient, []
        for s, y in reversed(self.pairs):
            rho = _inverse(dot(s, y))
            alpha = rho * dot(s, q)
            q = q - times(alpha, y)
            back.append((s, y, rho, alpha))
        s, y = self.pairs[-1]
        q = times(dot(s, y) * _inverse(dot(y, y)), q)
        for s, y, rho, alpha in reversed(back):
            q = q + times(alpha - rho * dot(y, q), s)
        return q


def _inverse(values: Tensor) -> Tensor:
    """1 / values; 0 for a problem that has come to rest, whose pairs are zero."""
    return torch.where(values > 0, 1 / values, 0.0)


def line_search(
    evaluate: Callable[[Tensor], tuple[Tensor, Tensor]],
    value: Tensor,
    slope: Tensor,
    active: Tensor,
    max_evaluations: int = 25,
) -> tuple[Tensor, Tensor]:
    """Step lengths (B,) that satisfy the weak Wolfe conditions along a descent direction of a convex function::

        f(t) <= f(0) + 1e-4 t f'(0)   and   f'(t) >= 0.9 f'(0)

    ``evaluate(t)`` gives f(t) and f'(t), both (B,); ``value`` and ``slope`` are f(0) and f'(0). Problems that are not
    ``active`` keep t = 0. Also returns which problems found a step; t = 0 where rounding leaves no way down.
    """
    t = torch.where(active, 1.0, torch.zeros_like(value))
    low, high = torch.zeros_like(t), torch.full_like(t, torch.inf)
    for _ in range(max_evaluations):
        at, at_slope = evaluate(t)
        long = active & ~(at <= value + 1e-4 * t * slope)  # also where the value is not finite
        short = active & ~long & (at_slope < 0.9 * slope)
        if not (long | short).any():
            return t, active
        high, low = torch.where(long, t, high), torch.where(short, t, low)
        # The zero of the derivative's secant through 0 and t, kept well inside the bracket.
        secant = t * slope / (slope - at_slope)
        secant = torch.where(secant.isfinite(), secant, 0.0)
        inside = torch.where(at_slope > 0, secant, (low + high) / 2)
        inside = inside.clamp(low + 0.1 * (high - low), high - 0.1 * (high - low))
        further = torch.where(at_slope < 0, secant, 2 * t).clamp(2 * t, 10 * t)
        t = torch.where(long | short, torch.where(high.isinf(), further, inside), t)
    failed = long | short
    t = torch.where(failed, 0.0, t)
    evaluate(t)
    return t, active & ~failed
