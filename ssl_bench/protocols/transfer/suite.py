"""The linear transfer suite of SimCLR (B.8) and BYOL (D): logistic regression on frozen features, one test number a set.

L2 strength chosen among 45 on the validation images, then a fit to train and validation images together. The data set's
own metric (top-1 or the mean over classes) decides, and is the primary one. No augmentation, no normalisation of features.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.geometry import seen_as
from ssl_bench.compute import Compute
from ssl_bench.data import subsets
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.features import Features, extract
from ssl_bench.errors import FeatureError
from ssl_bench.protocols.accuracy import accuracy_interval, accuracy_metrics
from ssl_bench.protocols.protocol import FeatureProtocol, Outcome, Predictions, noting_skipped
from ssl_bench.protocols.transfer.strength import Part, StrengthSettings, fit_chosen, logits_of
from ssl_bench.protocols.validation import validate


class Transfer(FeatureProtocol):
    """Metrics in percent: ``top1`` and ``mean_per_class``."""

    name = "transfer"
    summary = "Logistic regression on frozen features, L2 strength chosen on validation images (SimCLR, BYOL)"
    settings = StrengthSettings

    def evaluate(self, backbone: Backbone, dataset: Dataset, settings: StrengthSettings, compute: Compute) -> Outcome:
        view = seen_as(backbone, settings.geometry)
        train, val, test = (
            None if split is None else extract(view, split, compute, settings.embedding)
            for split in (dataset.train, dataset.val, dataset.test)
        )
        assert train is not None
        assert test is not None
        outcome = score(train, val, test, settings, compute, dataset.metric)
        outcome.details["preprocess"] = view.preprocess.card.model_dump(mode="json")
        return noting_skipped(outcome, *(part for part in (train, val, test) if part is not None))

    def evaluate_features(
        self, train: Features, test: Features, settings: StrengthSettings, compute: Compute
    ) -> Outcome:
        return score(train, None, test, settings, compute)


def score(
    train: Features,
    val: Features | None,
    test: Features,
    settings: StrengthSettings,
    compute: Compute,
    metric: str = "top1",
) -> Outcome:
    """Choose, fit again, test once."""
    validate(train, test)
    if val is not None:
        validate(train, val)
    everything, held = Part(train.x, train.y), None if val is None else Part(val.x, val.y)
    part, details = everything, dict[str, Any](validation="the data set's own")
    if held is not None:
        everything = part.and_(held)
    elif len(settings.strengths) > 1:
        kept, out, details["validation"] = hold_out(train.y, settings, compute)
        part, held = everything.rows(kept), everything.rows(out)
    fitted = fit_chosen(
        part,
        held,
        everything,
        train.classes,
        lambda y, logits: accuracy_metrics(y, logits.argmax(1))[metric],
        settings,
        compute,
    )
    prediction, confidence = top(logits_of(fitted.solution, test.x, settings))
    return Outcome(
        accuracy_metrics(test.y, prediction),
        primary=metric,
        selection=fitted.selection,
        interval=accuracy_interval(test.y, prediction, metric),
        predictions=Predictions(test.index, test.y, prediction, confidence),
        details={**(details if fitted.selection == "held_out" else {}), **fitted.details},
    )


def hold_out(labels: np.ndarray, settings: StrengthSettings, compute: Compute) -> tuple[np.ndarray, np.ndarray, str]:
    """(kept, held out) rows of the training images, drawn by the seed and in proportion to the classes, and what was done."""
    count = settings.val_images
    if count is not None and 2 * count <= len(labels):
        return (*subsets.held_out_images(labels, count, compute.seed), f"{count} training images, drawn")
    kept, out = subsets.holdout(labels, settings.held_out, compute.seed)
    if not len(out):
        raise FeatureError(
            "No class has two training images, so none can be held out to choose the strength.",
            "Give one strength: --set strengths=[1.0]",
        )
    return kept, out, f"{settings.held_out:.0%} of each class's training images, drawn"


def top(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, C) -> the class with the highest logit and its probability, both (N,)."""
    prediction = logits.argmax(1)
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    confidence: np.ndarray = 1 / shifted.sum(1)
    return prediction, confidence
