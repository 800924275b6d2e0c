"""The contract: a procedure that turns (backbone, dataset) into metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.features import Features, extract
from ssl_bench.protocols.accuracy import accuracy_interval
from ssl_bench.results.parts import Parts
from ssl_bench.results.statistics import Interval
from ssl_bench.settings import Settings

Selection = Literal["fixed", "held_out", "best_on_test"]


@dataclass(frozen=True)
class Predictions:
    """One row for every test image, in the data set's order: position, label, predicted class, and its score."""

    index: np.ndarray
    label: np.ndarray
    prediction: np.ndarray
    score: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """What a protocol found. Percentages are 0 to 100.

    ``primary`` names the headline entry of ``metrics``; ``interval`` is about it. ``selection`` says how
    hyper-parameters were chosen: ``fixed`` in advance, on ``held_out`` training images, or ``best_on_test``.
    ``details``: further facts for the record (chosen learning rate, per-split values), JSON-serialisable. ``parts``: in place
    of ``predictions``, what the headline is made of where it is not the share of right answers.
    """

    metrics: dict[str, float]
    primary: str
    selection: Selection = "fixed"
    interval: Interval | None = None
    predictions: Predictions | None = None
    details: dict[str, Any] = field(default_factory=dict)
    parts: Parts | None = None

    def arrays(self) -> dict[str, np.ndarray] | None:
        """What is saved beside the record, one row for each test image: for comparing models on the same images."""
        if self.predictions is not None:
            return {name: np.asarray(array) for name, array in vars(self.predictions).items()}
        return None if self.parts is None else self.parts.arrays


class Protocol(ABC):
    """One evaluation procedure. ``settings`` has every number that the paper states, with the paper's value as default."""

    name: ClassVar[str]
    summary: ClassVar[str]
    settings: ClassVar[type[Settings]]
    needs_data: ClassVar[bool] = True
    """Whether images are read. If not, ``dataset`` is only a name and may be None: nothing need be on disk."""

    @abstractmethod
    def evaluate(self, backbone: Backbone, dataset: Dataset, settings: Any, compute: Compute) -> Outcome:
        """Score ``backbone`` on ``dataset``."""

    def passes(self, backbone: Backbone, dataset: Dataset, settings: Any) -> int:
        """About how many images go forward through the network: what a dry run estimates the time from."""
        return len(dataset.train) * int(getattr(settings, "epochs", None) or 1) + len(dataset.test)


class FeatureProtocol(Protocol):
    """A protocol that needs nothing but one vector an image: also usable on the user's own arrays."""

    def passes(self, backbone: Backbone, dataset: Dataset, settings: Any) -> int:
        return len(dataset.train) + len(dataset.test)

    def evaluate(self, backbone: Backbone, dataset: Dataset, settings: Any, compute: Compute) -> Outcome:
        train = extract(backbone, dataset.train, compute)
        test = extract(backbone, dataset.test, compute)
        outcome = self.evaluate_features(train, test, settings, compute)
        return noting_skipped(headline(outcome, dataset.metric), train, test)

    @abstractmethod
    def evaluate_features(self, train: Features, test: Features, settings: Any, compute: Compute) -> Outcome:
        """Score features directly."""


def headline(outcome: Outcome, metric: str) -> Outcome:
    """The outcome with the data set's own metric (``mean_per_class``) as primary, where a protocol reports ``top1`` of
    single predictions and that metric too."""
    found = outcome.predictions
    if outcome.primary != "top1" or metric == "top1" or metric not in outcome.metrics or found is None:
        return outcome
    return replace(outcome, primary=metric, interval=accuracy_interval(found.label, found.prediction, metric))


def noting_skipped(outcome: Outcome, *parts: Features) -> Outcome:
    """The outcome with the images that could not be read and were left out (``--skip-broken``), for the record."""
    skipped = sorted({identity for part in parts for identity in part.broken})
    return replace(outcome, details={**outcome.details, "skipped": skipped}) if skipped else outcome
