"""Choose the learning rate on training images that are held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from ssl_bench.compute import Compute
from ssl_bench.data.scenes import SceneSplit
from ssl_bench.errors import SettingsError, TrainingError

HELD_OUT = 34


def hold_out(split: SceneSplit, count: int, compute: Compute) -> tuple[SceneSplit, SceneSplit]:
    """The rest, and ``count`` images drawn from the seed."""
    if not 0 < count < len(split):
        raise SettingsError(
            f"held_out={count}: {split.name} has {len(split)} images, and the rate is chosen on a part of them.",
            f"Use 1 to {len(split) - 1}.",
        )
    order = torch.randperm(len(split), generator=compute.generator(HELD_OUT)).numpy()
    return split.subset(np.sort(order[count:])), split.subset(np.sort(order[:count]))


def choose_rate(rates: Sequence[float], score: Callable[[float], float]) -> tuple[float, dict[str, float | None]]:
    """The rate with the highest score (of equal ones the first), and all scores; None where the training broke off because
    the loss was not finite."""
    scores: dict[str, float | None] = {}
    best, chosen = -np.inf, None
    for rate in rates:
        try:
            found = score(rate)
        except TrainingError:
            scores[f"{rate:g}"] = None
            continue
        scores[f"{rate:g}"] = round(found, 4)
        if found > best:
            best, chosen = found, rate
    if chosen is None:
        raise TrainingError(f"The loss was not finite at any of the rates {', '.join(scores)}.", "Give smaller rates.")
    return chosen, scores
