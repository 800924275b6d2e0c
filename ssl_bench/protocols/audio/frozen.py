"""Classification on frozen vectors of recordings: k-NN or a linear classifier, over folds where there are.

Ours, since the authors of Audio-MAE fine-tune only. It costs one pass over the recordings.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.features import Features
from ssl_bench.data.recordings import AudioSplit, Fold, folds_of
from ssl_bench.protocols.audio.front_end import FrontEnd, spectrogram_of
from ssl_bench.protocols.audio.net import for_frames
from ssl_bench.protocols.audio.score import classification
from ssl_bench.protocols.media.frozen import FrozenNumbers, classify, vectors
from ssl_bench.protocols.protocol import Outcome, Predictions, Protocol, noting_skipped
from ssl_bench.protocols.transfer.multilabel import MultilabelSettings
from ssl_bench.protocols.transfer.multilabel import score as score_labels
from ssl_bench.protocols.transfer.several import Labelled


class AudioFrozenSettings(FrontEnd, FrozenNumbers):
    """Several labels a recording take one logistic regression a class, as the protocol ``multilabel``, and ignore
    ``classifier``, ``epochs`` and ``lrs``."""


class AudioFrozen(Protocol):
    """Metrics in percent: ``map`` of several labels a recording, else those of ``linear_frozen`` or ``knn``."""

    name = "audio_frozen"
    summary = "k-NN or linear classifier on frozen vectors of recordings, over folds where there are"
    settings = AudioFrozenSettings

    def evaluate(
        self, backbone: Backbone, dataset: Dataset, settings: AudioFrozenSettings, compute: Compute
    ) -> Outcome:
        folds = folds_of(dataset)
        body = for_frames(backbone, settings.frames, settings.bins)
        if folds[0].train.tags is not None:
            return _tags(body, folds[0], dataset, settings, compute)
        if len(folds) == 1:
            train, test = (extract(body, split, settings, compute) for split in (folds[0].train, folds[0].test))
            return noting_skipped(classify(train, test, settings, compute), train, test)
        everything = dataset.test
        assert isinstance(everything, AudioSplit)
        features = extract(body, everything, settings, compute)
        found = [_fold(features, fold, settings, compute) for fold in folds]
        outcome = classification([fold.name for fold in folds], [part for part, _ in found], {}, found[0][1].selection)
        return noting_skipped(outcome, features)


def extract(backbone: Backbone, split: AudioSplit, settings: FrontEnd, compute: Compute) -> Features:
    numbers = FrontEnd(**{name: getattr(settings, name) for name in FrontEnd.model_fields})

    def embed(x: torch.Tensor) -> torch.Tensor:
        vector: torch.Tensor = backbone(x[None].to(compute.device))[0]
        return vector

    return vectors(backbone, split, numbers, partial(spectrogram_of, split, numbers=numbers), embed, compute)


def _fold(
    features: Features, fold: Fold, settings: AudioFrozenSettings, compute: Compute
) -> tuple[Predictions, Outcome]:
    """Train and test rows of the vectors of all recordings."""
    train, test = (
        _rows(features, np.asarray(getattr(split, "indices", np.arange(len(split)))))
        for split in (fold.train, fold.test)
    )
    outcome = classify(train, test, settings, compute)
    assert outcome.predictions is not None
    return outcome.predictions, outcome


def _rows(features: Features, wanted: np.ndarray) -> Features:
    rows = np.flatnonzero(np.isin(features.index, wanted))
    return replace(features, x=np.asarray(features.x[rows]), y=features.y[rows], index=features.index[rows])


def _tags(body: Backbone, fold: Fold, dataset: Dataset, settings: AudioFrozenSettings, compute: Compute) -> Outcome:
    """AP without interpolation, as the fine-tuned form."""
    parts = []
    for split in (fold.train, fold.test):
        features = extract(body, split, settings, compute)
        assert split.tags is not None
        parts.append(Labelled(features, split.tags.present(features.index)))
    outcome = score_labels(parts[0], None, parts[1], dataset.classes, MultilabelSettings(rule="step"), compute)
    return noting_skipped(outcome, *(part.features for part in parts))
