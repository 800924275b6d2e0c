"""Linear classifier on stored features: a grid trained in one pass, chosen on held-out training images.

As DINOv2 (facebookresearch/dinov2 dinov2/eval/linear.py: 13 base learning rates x batch/256, SGD with momentum 0.9, no
weight decay, cosine over all iterations, N(0, 0.01) start), with three differences. Features are extracted once, without
augmentation. They pass MAE's batch norm without affine first, because the scale of features differs a hundredfold between
methods. And the test images are touched once: learning rate, weight decay and embedding are chosen on held-out training
images (or the official validation images), where DINOv2 and iBOT choose on the test images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data import subsets
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.features import Features, extract_many
from ssl_bench.errors import FeatureError, SettingsError
from ssl_bench.protocols.accuracy import accuracy_interval, accuracy_metrics
from ssl_bench.protocols.grid import Head, train_grid
from ssl_bench.protocols.heads import Heads, Normalisation, predict
from ssl_bench.protocols.protocol import FeatureProtocol, Outcome, Predictions, headline, noting_skipped
from ssl_bench.protocols.validation import validate
from ssl_bench.settings import Settings

DINOV2_LRS = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1)


class LinearFrozenSettings(Settings):
    """``lrs``: for 256 images a batch, scaled linearly. ``embeddings``: names of ``backbones.embeddings`` to choose among
    (the user's own arrays have one). ``held_out``: share of each class that chooses, where the data set has no validation
    split. ``refit``: train the chosen head again on all training images before the test."""

    lrs: tuple[PositiveFloat, ...] = Field(DINOV2_LRS, min_length=1)
    weight_decays: tuple[NonNegativeFloat, ...] = Field((0.0,), min_length=1)
    embeddings: tuple[str, ...] = Field(("default",), min_length=1)
    epochs: int = Field(100, ge=1)
    batch_size: int = Field(256, ge=1)
    momentum: float = Field(0.9, ge=0, lt=1)
    normalisation: Normalisation = "batch_norm"
    held_out: float = Field(0.1, gt=0, lt=1)
    refit: bool = True


Part = dict[str, Features]
"""The same images in several embeddings."""


@dataclass(frozen=True)
class Choice:
    """One point of the grid."""

    embedding: str
    lr: float
    weight_decay: float


class LinearFrozen(FeatureProtocol):
    """Metrics in percent: ``top1``, ``top5`` (with five classes or more) and ``mean_per_class``."""

    name = "linear_frozen"
    summary = "Linear classifier on stored features, grid chosen on held-out training images"
    settings = LinearFrozenSettings

    def evaluate(
        self, backbone: Backbone, dataset: Dataset, settings: LinearFrozenSettings, compute: Compute
    ) -> Outcome:
        train, val, test = (
            None if split is None else extract_many(backbone, split, compute, settings.embeddings)
            for split in (dataset.train, dataset.val, dataset.test)
        )
        assert train is not None
        assert test is not None
        outcome = headline(score(train, val, test, settings, compute), dataset.metric)
        return noting_skipped(outcome, *(part for parts in (train, val or {}, test) for part in parts.values()))

    def evaluate_features(
        self, train: Features, test: Features, settings: LinearFrozenSettings, compute: Compute
    ) -> Outcome:
        if settings.embeddings != ("default",):
            raise SettingsError(
                f"embeddings = {list(settings.embeddings)}: given features are one embedding.", "Leave it out."
            )
        return score({"default": train}, None, {"default": test}, settings, compute)


def score(train: Part, val: Part | None, test: Part, settings: LinearFrozenSettings, compute: Compute) -> Outcome:
    """Choose on held-out images, train again on all, test once."""
    for name in train:
        validate(train[name], test[name])
        if val is not None:
            validate(train[name], val[name])
    choices = [Choice(e, lr, decay) for e in train for decay in settings.weight_decays for lr in settings.lrs]
    choose, again = len(choices) > 1, settings.refit or len(choices) == 1
    everything = train if val is None else _joined(train, val)
    chosen, details = choices[0], dict[str, Any]()
    with compute.progress.bar("linear heads", settings.epochs * (choose * len(train) + again)) as advance:
        trainer = _Trainer(settings, compute, advance)
        if choose:
            kept, held = _held_out(train, settings, compute) if val is None else (train, val)
            head, best, details = trainer.choose(kept, held, choices)
            chosen = choices[best]
        if again:
            head = trainer.fit(everything, [chosen])
    part = everything if again else kept
    details["trained_on"] = len(part[chosen.embedding])
    return _outcome(head, chosen, test[chosen.embedding], details)


class _Trainer:
    """What all fits of an evaluation share."""

    def __init__(self, settings: LinearFrozenSettings, compute: Compute, advance: Any) -> None:
        self.settings, self.compute, self.advance = settings, compute, advance

    def fit(self, part: Part, choices: list[Choice]) -> Heads:
        """Heads of ``choices``, which share one embedding."""
        settings, features = self.settings, part[choices[0].embedding]
        scale = settings.batch_size / 256
        return train_grid(
            features.x,
            features.y,
            features.classes,
            [Head(choice.lr * scale, choice.weight_decay) for choice in choices],
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            normalisation=settings.normalisation,
            momentum=settings.momentum,
            seed=self.compute.seed,
            device=self.compute.device,
            advance=self.advance,
        )

    def choose(self, kept: Part, held: Part, choices: list[Choice]) -> tuple[Heads, int, dict[str, Any]]:
        """The best head, its place among ``choices``, and the grid for the record. Best: most held-out images right; of
        equal ones the lower held-out loss. Heads that diverged are out."""
        found: list[tuple[float, float]] = []
        trained: list[Heads] = []
        for embedding in kept:
            heads = self.fit(kept, [choice for choice in choices if choice.embedding == embedding])
            found += heads.held_out(held[embedding].x, held[embedding].y)
            trained += [heads.only(i) for i in range(len(heads.bias))]
        best = max(range(len(choices)), key=lambda i: (found[i][0], -found[i][1]))
        grid = [{**vars(c), "held_out_top1": top1} for c, (top1, _) in zip(choices, found, strict=True)]
        return trained[best], best, {"grid": grid, "held_out_images": len(held[choices[best].embedding])}


def _outcome(head: Heads, chosen: Choice, test: Features, details: dict[str, Any]) -> Outcome:
    """Test the one chosen head."""
    if not head.weights.isfinite().all():
        raise FeatureError(
            f"The linear classifier diverged (learning rate {chosen.lr:g}).", "Give a smaller one: --set lrs=[0.001]"
        )
    found = predict(head, test.x, test.y)
    metrics = accuracy_metrics(test.y, found.label)
    if test.classes >= 5:
        metrics["top5"] = 100 * float(found.in_top5.mean())
    return Outcome(
        metrics,
        primary="top1",
        selection="held_out" if "grid" in details else "fixed",
        interval=accuracy_interval(test.y, found.label),
        predictions=Predictions(test.index, test.y, found.label, found.score),
        details={"chosen": vars(chosen), **details},
    )


def _held_out(train: Part, settings: LinearFrozenSettings, compute: Compute) -> tuple[Part, Part]:
    """Kept and held-out images, the same in every embedding."""
    y = next(iter(train.values())).y
    kept, held = subsets.holdout(y, settings.held_out, compute.seed)
    if not len(held):
        raise FeatureError(
            "No class has two training images, so none can be held out to choose the learning rate.",
            "Give one learning rate: --set lrs=[0.01]",
        )
    return _rows(train, kept), _rows(train, held)


def _rows(part: Part, rows: np.ndarray) -> Part:
    return {name: Features(f.x[rows], f.y[rows], f.index[rows], f.classes) for name, f in part.items()}


def _joined(one: Part, other: Part) -> Part:
    return {
        name: Features.of(
            np.concatenate([one[name].x, other[name].x]),
            np.concatenate([one[name].y, other[name].y]),
            one[name].classes,
        )
        for name in one
    }
