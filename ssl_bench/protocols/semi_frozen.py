"""Semi-supervised classification on frozen features: logistic regression on 1 % or 10 % of the labels.

Beside MSN's low-shot evaluation (section 5 of arXiv 2204.07141 does so with the 1 % list): the same classifier and the
same normalisation, here with the penalty chosen on a held-out part of the labelled images. It is not the fine-tuning
that SimCLR, BYOL and SwAV call semi-supervised; published numbers mix the two.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field, PositiveFloat

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data import subsets
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.features import Features, extract
from ssl_bench.protocols.accuracy import accuracy_interval, accuracy_metrics
from ssl_bench.protocols.logistic import logistic_path
from ssl_bench.protocols.logistic_probe import Normalisation, classify, tensors
from ssl_bench.protocols.protocol import FeatureProtocol, Outcome, Predictions, Selection, headline, noting_skipped
from ssl_bench.protocols.validation import validate
from ssl_bench.settings import Settings

MSN_PENALTY = 0.00025


class SemiFrozenSettings(Settings):
    """``percent`` of the training images of each class, at least one. ``penalties``: values of L tried (penalty weight L/n,
    scikit-learn's C = 1/L). ``held_out``: share of each class's labelled images that choose among them; then a fit on all."""

    percent: float = Field(1.0, gt=0, le=100)
    penalties: tuple[PositiveFloat, ...] = Field((1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0), min_length=1)
    held_out: float = Field(0.2, gt=0, lt=1)
    normalisation: Normalisation = "centre_l2"
    tolerance: float = Field(1e-3, gt=0)
    max_iterations: int = Field(1000, ge=1)


class SemiFrozen(FeatureProtocol):
    """Metrics in percent: ``top1`` and ``mean_per_class``."""

    name = "semi_frozen"
    summary = "Logistic regression on 1 % or 10 % of the labels, penalty chosen on held-out labels"
    settings = SemiFrozenSettings

    def evaluate(self, backbone: Backbone, dataset: Dataset, settings: SemiFrozenSettings, compute: Compute) -> Outcome:
        """Only the labelled training images are read. For ImageNet SimCLR's lists are used where the data root has them."""
        if dataset.name == "imagenet":
            chosen = subsets.semi(dataset.train, settings.percent, compute.data_root, compute.seed)
        else:
            rows = subsets.fraction(dataset.train.labels, settings.percent, compute.seed)
            chosen = subsets.Selection(rows, "drawn")
        train = extract(backbone, dataset.train.subset(chosen.indices), compute)
        test = extract(backbone, dataset.test, compute)
        outcome = score(train, test, chosen.note or chosen.source, settings, compute)
        return noting_skipped(headline(outcome, dataset.metric), train, test)

    def evaluate_features(
        self, train: Features, test: Features, settings: SemiFrozenSettings, compute: Compute
    ) -> Outcome:
        validate(train, test)
        rows = subsets.fraction(train.y, settings.percent, compute.seed)
        labelled = Features(np.asarray(train.x[rows]), train.y[rows], train.index[rows], train.classes)
        return score(labelled, test, "drawn", settings, compute)


def score(labelled: Features, test: Features, source: str, settings: SemiFrozenSettings, compute: Compute) -> Outcome:
    """Choose the penalty, fit on all labelled images, test."""
    validate(labelled, test)
    with compute.progress.bar("logistic regression", 2) as advance:
        penalty, details, selection = choose_penalty(labelled, settings, compute)
        advance()
        x, y = tensors(labelled.x, labelled.y, settings.normalisation, compute)
        (solution,) = logistic_path(
            x, y, labelled.classes, [penalty], tolerance=settings.tolerance, max_iterations=settings.max_iterations
        )
        advance()
    prediction, confidence = (part[0] for part in classify(solution, test, settings.normalisation))
    details |= {"penalty": penalty, "labelled_images": len(labelled), "subset": source, "gap": float(solution.gap[0])}
    return Outcome(
        accuracy_metrics(test.y, prediction),
        primary="top1",
        selection=selection,
        interval=accuracy_interval(test.y, prediction),
        predictions=Predictions(test.index, test.y, prediction, confidence),
        details=details,
    )


def choose_penalty(
    labelled: Features, settings: SemiFrozenSettings, compute: Compute
) -> tuple[float, dict[str, Any], Selection]:
    """The penalty with the most held-out images right; of equal ones the strongest. Where no class has two images
    nothing can be held out, and MSN's penalty is taken."""
    if len(settings.penalties) == 1:
        return settings.penalties[0], {}, "fixed"
    kept, held = subsets.holdout(labelled.y, settings.held_out, compute.seed)
    if not len(held):
        note = "no class has two labelled images, so the penalty could not be chosen: MSN's is used"
        return MSN_PENALTY, {"note": note}, "fixed"
    x, y = tensors(labelled.x[kept], labelled.y[kept], settings.normalisation, compute)
    part = Features(np.asarray(labelled.x[held]), labelled.y[held], labelled.index[held], labelled.classes)
    path = logistic_path(
        x, y, labelled.classes, settings.penalties, tolerance=settings.tolerance, max_iterations=settings.max_iterations
    )
    accuracies = {
        solution.penalty: accuracy_metrics(part.y, classify(solution, part, settings.normalisation)[0][0])["top1"]
        for solution in path
    }
    best = max(accuracies, key=lambda penalty: (accuracies[penalty], penalty))
    return best, {"held_out_top1": {f"{penalty:g}": value for penalty, value in accuracies.items()}}, "held_out"
