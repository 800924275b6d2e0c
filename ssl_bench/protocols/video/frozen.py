"""Classification on frozen vectors of videos: the mean of a few clips' vectors, then k-NN or a linear classifier.

Ours, since the authors of video MAE fine-tune only. It costs one pass over the videos. Networks of images can be scored on
the data sets named ``*_frames``: the mean of their vectors of all frames, which knows nothing of motion.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from pydantic import Field

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.features import Features
from ssl_bench.data.videos import VideoSplit, videos
from ssl_bench.protocols.media.frozen import FrozenNumbers, classify, vectors
from ssl_bench.protocols.protocol import Outcome, Protocol, noting_skipped
from ssl_bench.protocols.video.net import clip_vectors
from ssl_bench.protocols.video.views import ClipNumbers, views_of


class VideoFrozenSettings(ClipNumbers, FrozenNumbers):
    """``clips`` x ``crops`` views of training and test videos alike, whose vectors are averaged."""

    clips: int = Field(4, ge=1)
    crops: Literal[1, 3] = 1


class VideoFrozen(Protocol):
    """Metrics in percent: those of ``linear_frozen`` or ``knn``."""

    name = "video_frozen"
    summary = "k-NN or linear classifier on frozen vectors of videos, the mean over clips"
    settings = VideoFrozenSettings

    def evaluate(
        self, backbone: Backbone, dataset: Dataset, settings: VideoFrozenSettings, compute: Compute
    ) -> Outcome:
        splits = videos(dataset)
        train, test = (extract(backbone, splits[part], settings, compute) for part in ("train", "test"))
        return noting_skipped(classify(train, test, settings, compute), train, test)


def extract(backbone: Backbone, split: VideoSplit, settings: ClipNumbers, compute: Compute) -> Features:
    """(N, D): the mean over the views of each video."""
    numbers = ClipNumbers(**{name: getattr(settings, name) for name in ClipNumbers.model_fields})

    def embed(views: torch.Tensor) -> torch.Tensor:
        parts = torch.split(views, compute.batch_size or 16)
        normalise = backbone.preprocess.normalise
        return torch.cat([clip_vectors(backbone, normalise(part.to(compute.device))) for part in parts]).mean(dim=0)

    return vectors(backbone, split, numbers, partial(views_of, split, numbers=numbers), embed, compute)
