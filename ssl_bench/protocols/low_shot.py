"""Extreme low-shot classification on frozen features (MSN, Assran et al. 2022, arXiv 2204.07141, section 5).

A few images of each class train a multinomial logistic regression without intercept; the mean and standard deviation
over three draws are reported. With n training images and penalty L::

    minimise over W:  (1/n) sum_i CE(W x_i, y_i) + (L/n) |W|^2 / 2,      x_i centred over its own D values, |x_i| = 1

Source: facebookresearch/msn logistic_eval.py. Default L = 0.00025, which is C = 1/L = 4000.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import torch
from pydantic import Field

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data import subsets
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.features import Features, extract
from ssl_bench.errors import FeatureError
from ssl_bench.protocols.accuracy import accuracy_metrics
from ssl_bench.protocols.logistic import Logistic, logistic_path
from ssl_bench.protocols.logistic_probe import Normalisation, classify, tensors
from ssl_bench.protocols.protocol import FeatureProtocol, Outcome, Predictions, noting_skipped
from ssl_bench.protocols.validation import validate
from ssl_bench.results.statistics import spread
from ssl_bench.settings import Settings


class LowShotSettings(Settings):
    """``shots``: images a class. ``splits``: independent draws. ``penalty``: L above; fixed, since one image a class leaves
    none to choose it with. ``tolerance``: relative duality gap at which the solver stops (MSN: 1e-3)."""

    shots: int = Field(1, ge=1)
    splits: int = Field(3, ge=1)
    penalty: float = Field(0.00025, gt=0)
    normalisation: Normalisation = "centre_l2"
    tolerance: float = Field(1e-3, gt=0)
    max_iterations: int = Field(1000, ge=1)


@dataclass(frozen=True)
class Draw:
    """Rows of the train features, and where the choice comes from."""

    rows: np.ndarray
    source: str


class LowShot(FeatureProtocol):
    """Metrics in percent: ``top1`` and ``mean_per_class`` (means over the draws), ``top1_std`` and ``mean_per_class_std``
    (sample standard deviations). Predictions are those of the first draw."""

    name = "low_shot"
    summary = "Logistic regression on 1, 2 or 5 images a class, three draws (MSN)"
    settings = LowShotSettings

    def evaluate(self, backbone: Backbone, dataset: Dataset, settings: LowShotSettings, compute: Compute) -> Outcome:
        """Only the drawn training images are read. For ImageNet MSN's own lists are used where the data root has them."""
        labels = dataset.train.labels
        check_enough(labels, settings.shots)
        chosen = []
        for draw in range(1, settings.splits + 1):
            if dataset.name == "imagenet":
                chosen.append(subsets.low_shot(dataset.train, settings.shots, draw, compute.data_root))
            else:
                rows = subsets.per_class(labels, settings.shots, draw_seed(compute, draw))
                chosen.append(subsets.Selection(rows, "drawn"))
        union = np.unique(np.concatenate([selection.indices for selection in chosen]))
        train = extract(backbone, dataset.train.subset(union), compute)
        test = extract(backbone, dataset.test, compute)
        where = union[train.index]
        draws = [Draw(np.flatnonzero(np.isin(where, s.indices)), s.note or s.source) for s in chosen]
        return noting_skipped(score(train, test, draws, settings, compute, dataset.metric), train, test)

    def evaluate_features(
        self, train: Features, test: Features, settings: LowShotSettings, compute: Compute
    ) -> Outcome:
        validate(train, test)
        check_enough(train.y, settings.shots)
        rows = [
            subsets.per_class(train.y, settings.shots, draw_seed(compute, draw))
            for draw in range(1, settings.splits + 1)
        ]
        return score(train, test, [Draw(chosen, "drawn") for chosen in rows], settings, compute)


def draw_seed(compute: Compute, draw: int) -> int:
    """Seed of draw 1, 2, ...: another for every ``--seed``."""
    return 1000 * compute.seed + draw


def check_enough(labels: np.ndarray, shots: int) -> None:
    """:class:`FeatureError` unless every class that is there has ``shots`` images."""
    classes, counts = np.unique(labels, return_counts=True)
    if len(counts) and counts.min() < shots:
        worst = counts.argmin()
        raise FeatureError(
            f"Class {classes[worst]} has {counts[worst]} training images; {shots} of each class are wanted.",
            f"Use --set shots=N with N up to {counts[worst]}.",
        )


def score(
    train: Features,
    test: Features,
    draws: list[Draw],
    settings: LowShotSettings,
    compute: Compute,
    primary: str = "top1",
) -> Outcome:
    """Train on each draw, test on everything."""
    validate(train, test)
    solutions = solve(train, draws, settings, compute)
    found = [classify(solution, test, settings.normalisation) for solution in solutions]
    prediction, confidence = (np.concatenate(parts) for parts in zip(*found, strict=True))
    splits = [accuracy_metrics(test.y, row) for row in prediction]
    metrics: dict[str, float] = {}
    for name in splits[0]:
        interval = spread([split[name] for split in splits])
        metrics |= {name: fmean(split[name] for split in splits), f"{name}_std": (interval.high - interval.low) / 2}
    details: dict[str, Any] = {
        "top1_per_split": [split["top1"] for split in splits],
        "images_per_split": [len(draw.rows) for draw in draws],
        "draws": [draw.source for draw in draws],
        "gap": [float(gap) for solution in solutions for gap in solution.gap],
    }
    return Outcome(
        metrics,
        primary=primary,
        interval=spread([split[primary] for split in splits]),
        predictions=Predictions(test.index, test.y, prediction[0], confidence[0]),
        details=details,
    )


def solve(train: Features, draws: list[Draw], settings: LowShotSettings, compute: Compute) -> list[Logistic]:
    """Draws of equal size are solved together, in one batch."""
    samples = [tensors(train.x[d.rows], train.y[d.rows], settings.normalisation, compute) for d in draws]
    if len({len(draw.rows) for draw in draws}) == 1:
        samples = [(torch.cat([x for x, _ in samples]), torch.cat([y for _, y in samples]))]
    solutions = []
    with compute.progress.bar(f"low-shot, {settings.shots} images a class", len(samples)) as advance:
        for x, y in samples:
            solutions += logistic_path(
                x,
                y,
                train.classes,
                [settings.penalty],
                tolerance=settings.tolerance,
                max_iterations=settings.max_iterations,
            )
            advance()
    return solutions
