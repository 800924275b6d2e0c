"""The regression of the transfer suites: its strength chosen on validation images, then fitted to all training images.

With n images and strength s the minimised function is, up to a factor,

    sum_i CE(W x_i + b, y_i) + (s / 2) |W|^2        ``scale: sum``:  L = s, scikit-learn's C = 1/s
    mean_i CE(W x_i + b, y_i) + (s / 2) |W|^2       ``scale: mean``: L = n s

with L the penalty of ``protocols.logistic``. The papers (SimCLR B.8, BYOL D) state the 45 values, not which of the two;
linusericsson/ssl-transfer takes them as 1/C, the sum. The one grid is the other moved by log10 n decades.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, PositiveFloat

from ssl_bench.backbones.geometry import Geometry
from ssl_bench.compute import Compute
from ssl_bench.protocols.logistic import Logistic, logistic_path
from ssl_bench.protocols.logistic_probe import ROWS, Normalisation, normalise
from ssl_bench.protocols.protocol import Selection
from ssl_bench.settings import Settings

STRENGTHS = tuple(float(10 ** (-6 + 11 * k / 44)) for k in range(45))
"""1e-6 to 1e5, four a decade."""


class StrengthSettings(Settings):
    """``strengths``: tried on the validation images; ``scale``: see above. ``geometry``: how images are cut, see
    ``backbones.geometry``; ``embedding``: which vector. Where the data set has no validation split, ``val_images`` images
    are held out of the training images, or the share ``held_out`` of them where no number is given or there are fewer
    than twice as many. ``tolerance``: relative duality gap at which the solver stops; ``max_iterations``: of each strength while
    choosing, each started at the next stronger one's solution (ssl-transfer: 100); the last fit, from zero, has ten times as
    many."""

    strengths: tuple[PositiveFloat, ...] = Field(STRENGTHS, min_length=1)
    scale: Literal["sum", "mean"] = "sum"
    intercept: bool = True
    normalisation: Normalisation = "none"
    geometry: Geometry = "suite"
    embedding: str = "default"
    val_images: int | None = Field(None, ge=1)
    held_out: float = Field(0.2, gt=0, lt=1)
    tolerance: float = Field(1e-4, gt=0)
    max_iterations: int = Field(100, ge=1)


@dataclass(frozen=True)
class Part:
    """``x`` (N, D) features; ``y`` (N,) int64 labels, or (N, C) bool of several labels."""

    x: np.ndarray
    y: np.ndarray

    def rows(self, where: np.ndarray) -> Part:
        return Part(np.asarray(self.x[where]), self.y[where])

    def and_(self, other: Part) -> Part:
        return Part(np.concatenate([self.x, other.x]), np.concatenate([self.y, other.y]))


@dataclass(frozen=True)
class Fitted:
    """The regression that is tested, how its strength was chosen, and facts for the record."""

    solution: Logistic
    selection: Selection
    details: dict[str, Any]


def fit_chosen(
    train: Part,
    val: Part | None,
    everything: Part,
    classes: int,
    score: Callable[[np.ndarray, np.ndarray], float],
    settings: StrengthSettings,
    compute: Compute,
) -> Fitted:
    """Choose the strength with the best ``score`` (labels, logits) on ``val`` after training on ``train`` (of equal ones the
    strongest), then fit to ``everything``. With one strength nothing is chosen; ``val`` may then be None."""
    strengths, details = settings.strengths, dict[str, Any]()
    with compute.progress.bar("logistic regression", 2) as advance:
        if len(strengths) > 1:
            assert val is not None
            path = solve(train, classes, strengths, settings.max_iterations, settings, compute)
            found = [score(val.y, logits_of(solution, val.x, settings)) for solution in path]
            details["held_out_score"] = {f"{s:.4g}": round(v, 4) for s, v in zip(strengths, found, strict=True)}
            details["validation_images"] = len(val.y)
            strengths = (max(zip(found, strengths, strict=True))[1],)
        advance()
        (solution,) = solve(everything, classes, strengths, 10 * settings.max_iterations, settings, compute)
        advance()
    details |= {"strength": strengths[0], "trained_on": len(everything.y), "gap": float(solution.gap[0])}
    return Fitted(solution, "held_out" if len(settings.strengths) > 1 else "fixed", details)


def solve(
    part: Part,
    classes: int,
    strengths: tuple[float, ...],
    max_iterations: int,
    settings: StrengthSettings,
    compute: Compute,
) -> list[Logistic]:
    """The solution for each of ``strengths``, in their order."""
    device = torch.device("cpu") if compute.device.type == "mps" else compute.device  # MPS has no doubles
    scale = 1 if settings.scale == "sum" else len(part.y)
    return logistic_path(
        _tensor(part.x, settings)[None].to(device),
        torch.from_numpy(part.y)[None].to(device),
        classes,
        [scale * strength for strength in strengths],
        intercept=settings.intercept,
        tolerance=settings.tolerance,
        max_iterations=max_iterations,
    )


def logits_of(solution: Logistic, x: np.ndarray, settings: StrengthSettings) -> np.ndarray:
    """(N, D) features -> (N, C) logits, float32, some rows at a time."""
    device, parts = solution.weights.device, []
    for start in range(0, len(x), ROWS):
        rows = _tensor(x[start : start + ROWS], settings).to(device)
        parts.append(solution.logits(rows)[0].float().cpu().numpy())
    return np.concatenate(parts)


def _tensor(x: np.ndarray, settings: StrengthSettings) -> torch.Tensor:
    """Stored features are read-only; torch wants arrays that are not."""
    return torch.from_numpy(np.require(normalise(x, settings.normalisation), requirements="W"))
