"""CLIP's linear probe: logistic regression on the features before the projection into the space of texts (appendix A.3).

The L2 strength is searched on validation images as the paper does, and the fit repeated on training and validation images.
Of a grid of 12 decades, eight steps each, first every second decade is tried; then, around the best so far, the steps
are halved until neighbours on the grid have been compared: 15 fits instead of 97, and the same result wherever the score
has one peak. Solver: that of ``protocols.logistic``, which has the same minimum as scikit-learn's with C = 1 / strength.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np
from pydantic import Field, PositiveFloat

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.geometry import Geometry, seen_as
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.features import Features, extract
from ssl_bench.protocols.protocol import FeatureProtocol, Outcome, noting_skipped
from ssl_bench.protocols.transfer.strength import Part, StrengthSettings, logits_of, solve
from ssl_bench.protocols.transfer.suite import hold_out
from ssl_bench.protocols.validation import validate
from ssl_bench.protocols.zero_shot.scoring import OneLabel, Ranks

GRID = tuple(float(10 ** (-6 + k / 8)) for k in range(97))
"""1e-6 to 1e6 (appendix A.3: "96 logarithmically spaced steps")."""


class LinearClipSettings(StrengthSettings):
    """``strengths``: the grid, or one strength, which is then not chosen (openai/CLIP's README: C = 0.316, that is 3.165).
    ``search``: ``halving`` as above, beginning with every ``first_step``-th, or ``all``. ``embedding``: ``auto`` is what
    the model's card gives for ``linear_clip`` or ``linear``. ``metric``: decides and comes first, see
    ``zero_shot.scoring``; ``auto`` is the data set's own. ``held_out``: the paper does not say how many images are cut
    from the training images where there are none for validation."""

    strengths: tuple[PositiveFloat, ...] = Field(GRID, min_length=1)
    search: Literal["halving", "all"] = "halving"
    first_step: int = Field(16, ge=1)
    geometry: Geometry = "model"
    embedding: str = "auto"
    held_out: float = Field(0.1, gt=0, lt=1)
    metric: Literal["auto", "top1", "mean_per_class", "top1_top5", "roc_auc"] = "auto"


class LinearClip(FeatureProtocol):
    """Metrics in percent, as those of ``zero_shot``."""

    name = "linear_clip"
    summary = "CLIP's linear probe: logistic regression before the projection, L2 strength searched on held-out images"
    settings = LinearClipSettings

    def evaluate(self, backbone: Backbone, dataset: Dataset, settings: LinearClipSettings, compute: Compute) -> Outcome:
        view, embedding = seen_as(backbone, settings.geometry), settings.embedding
        if embedding == "auto":
            embedding = backbone.embeddings.get(self.name) or backbone.embeddings.get("linear", "default")
        parts = {name: extract(view, split, compute, embedding) for name, split in dataset.splits.items()}
        metric = dataset.metric if settings.metric == "auto" else settings.metric
        outcome = score(parts["train"], parts.get("val"), parts["test"], cast(OneLabel, metric), settings, compute)
        outcome.details.update(embedding=embedding, preprocess=view.preprocess.card.model_dump(mode="json"))
        return noting_skipped(outcome, *parts.values())

    def evaluate_features(
        self, train: Features, test: Features, settings: LinearClipSettings, compute: Compute
    ) -> Outcome:
        metric: OneLabel = "top1" if settings.metric == "auto" else settings.metric
        return score(train, None, test, metric, settings, compute)


def score(
    train: Features,
    val: Features | None,
    test: Features,
    metric: OneLabel,
    settings: LinearClipSettings,
    compute: Compute,
) -> Outcome:
    """Search, fit again, test once."""
    for other in (test, val):
        if other is not None:
            validate(train, other)
    part, held, details = Part(train.x, train.y), None if val is None else Part(val.x, val.y), dict[str, Any]()
    everything = part if held is None else part.and_(held)
    strength, searched = settings.strengths[0], len(settings.strengths) > 1
    if searched:
        details["validation"] = "the data set's own"
        if held is None:
            kept, out, details["validation"] = hold_out(train.y, settings, compute)
            part, held = everything.rows(kept), everything.rows(out)
        validation = held

        def value_of(strengths: Sequence[float]) -> list[float]:
            found = solve(part, train.classes, tuple(strengths), settings.max_iterations, settings, compute)
            logits = [logits_of(solution, validation.x, settings) for solution in found]
            return [_ranks(validation.y, some).metrics(metric)[metric] for some in logits]

        strength, values = search(settings, value_of, compute)
        details["held_out_score"] = {f"{tried:.4g}": round(value, 4) for tried, value in values.items()}
    (solution,) = solve(everything, train.classes, (strength,), 10 * settings.max_iterations, settings, compute)
    outcome = _ranks(test.y, logits_of(solution, test.x, settings)).outcome(test.index, metric)
    details |= {"strength": strength, "trained_on": len(everything.y), "gap": float(solution.gap[0])}
    outcome.details.update(details)
    return replace(outcome, selection="held_out" if searched else "fixed")


def search(
    settings: LinearClipSettings, value_of: Callable[[Sequence[float]], list[float]], compute: Compute
) -> tuple[float, dict[float, float]]:
    """The strength with the best value (of equal ones the strongest), and the values of those that were tried."""
    grid = sorted(settings.strengths)
    step = 1 if settings.search == "all" else settings.first_step
    wanted, tried, best = {*range(0, len(grid), step), len(grid) - 1}, dict[int, float](), 0
    with compute.progress.bar("L2 strengths", step.bit_length()) as advance:
        while True:
            new = sorted(wanted - set(tried))
            tried |= dict(zip(new, value_of([grid[at] for at in new]), strict=True)) if new else {}
            best = max(tried, key=lambda at: (tried[at], at))
            advance(1)
            if step == 1:
                return grid[best], {grid[at]: tried[at] for at in sorted(tried)}
            step //= 2
            wanted = {at for at in (best - step, best + step) if 0 <= at < len(grid)}


def _ranks(labels: np.ndarray, logits: np.ndarray) -> Ranks:
    found = Ranks(labels, logits.shape[1])
    found.take(slice(0, len(labels)), logits)
    return found
