"""Fine-tuning on videos by MAE-ST's recipe, tested on many views of each video.

The network sees K clips of a video and three crops of each; the prediction is the class with the highest mean probability::

    p(c) = 1 / (3 K) sum over views v of softmax(logits(v))_c

Source: facebookresearch/mae_st FINETUNE.md, main_finetune.py, main_test.py; Feichtenhofer et al. 2022 (ViT-L: 84.8 %).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.features import evaluating
from ssl_bench.data.videos import VideoSplit, videos
from ssl_bench.errors import DataError
from ssl_bench.protocols.accuracy import accuracy_interval, accuracy_metrics
from ssl_bench.protocols.media.frozen import one_by_one
from ssl_bench.protocols.media.samples import MediaBatches, Skipped, shuffled
from ssl_bench.protocols.media.training import FineTuneNumbers, key, plan
from ssl_bench.protocols.protocol import Outcome, Predictions, Protocol
from ssl_bench.protocols.video.augment import AugmentNumbers, Batch, TrainClips
from ssl_bench.protocols.video.net import ClipClassifier, build
from ssl_bench.protocols.video.views import ClipNumbers, views_of
from ssl_bench.training.saved import Saved
from ssl_bench.training.supervised import fit
from ssl_bench.training.trainable import groups_of


class VideoSettings(ClipNumbers, AugmentNumbers, FineTuneNumbers):
    """Values of ViT-L. ``batch_size`` counts clips; the command does not say on how many GPUs it runs, so 512 is an
    assumption (unverified)."""

    epochs: int = Field(50, ge=1)
    batch_size: int = Field(512, ge=1)
    forward_batch: int = Field(16, ge=1)
    lr: float = Field(2.4e-3, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    warmup_epochs: float = Field(5, ge=0)
    drop_path: float = Field(0.2, ge=0, lt=1)
    dropout: float = Field(0.3, ge=0, lt=1)
    clip_grad: float | None = Field(5.0, gt=0)


class Video(Protocol):
    """Metrics in percent: ``top1``, ``top5`` (more than five classes), ``mean_per_class``."""

    name = "video"
    summary = "Fine-tuning on video clips (MAE-ST's recipe), tested on clips x crops of every video"
    settings = VideoSettings

    def evaluate(self, backbone: Backbone, dataset: Dataset, settings: VideoSettings, compute: Compute) -> Outcome:
        splits = videos(dataset)
        classes = len(dataset.classes)
        net = build(backbone, classes, settings.dropout, settings.drop_path, compute)
        saved = Saved(compute, "video", key(backbone, splits["train"], settings, compute))
        size, training = plan(settings, len(splits["train"]), settings.repeats)
        batches = MediaBatches(
            shuffled(len(splits["train"]), compute),
            len(splits["train"]),
            TrainClips(splits["train"], settings, settings, compute.seed),
            Batch(net.backbone, classes, settings, compute),
            size,
            compute,
        )
        groups = groups_of(net.backbone, net.head, settings.layer_decay)
        fit(net, batches, soft_loss, training, compute, saved, f"fine-tuning {backbone.name} on videos", groups)
        outcome = score(net, splits["test"], settings, compute)
        saved.remove()
        return outcome


def soft_loss(net: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Cross-entropy with soft labels."""
    clips, target = batch
    return {"loss": F.cross_entropy(net(clips).float(), target)}


def score(net: ClipClassifier, split: VideoSplit, settings: VideoSettings, compute: Compute) -> Outcome:
    """All views of one video after the other; memory is that of one video."""
    make = partial(views_of, split, numbers=settings)
    chosen, probabilities, skipped = [], [], []
    with evaluating(net.backbone, compute), compute.progress.bar("test videos", len(split)) as advance:
        net.eval()
        for index, item in one_by_one(make, np.arange(len(split)), compute):
            if isinstance(item, Skipped):
                skipped.append(str(split.file(index) or split.identity(index)))
            else:
                chosen.append(index)
                probabilities.append(mean_probability(net, item, settings.forward_batch, compute).cpu().numpy())
            advance()
    if not chosen:
        raise DataError(f"None of the {len(split)} test videos can be read.")
    return outcome_of(np.array(chosen), split.labels[chosen], np.stack(probabilities), skipped)


def mean_probability(net: ClipClassifier, views: torch.Tensor, size: int, compute: Compute) -> torch.Tensor:
    """(V, T, 3, H, W) uint8 views of one video -> (C,): mean over the views of the softmax."""
    parts = []
    for part in torch.split(views, size):
        with compute.autocast():
            logits = net(net.backbone.preprocess.normalise(part.to(compute.device)))
        parts.append(logits.float().softmax(dim=1))
    return torch.cat(parts).mean(dim=0)


def outcome_of(index: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, skipped: list[str]) -> Outcome:
    """Accuracies of (N, C) probabilities."""
    prediction = probabilities.argmax(axis=1)
    metrics = accuracy_metrics(labels, prediction)
    if probabilities.shape[1] > 5:
        five = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
        metrics["top5"] = 100 * float((five == labels[:, None]).any(axis=1).mean())
    details: dict[str, Any] = {"skipped": skipped} if skipped else {}
    return Outcome(
        metrics,
        primary="top1",
        interval=accuracy_interval(labels, prediction),
        predictions=Predictions(index, labels, prediction, probabilities.max(axis=1)),
        details=details,
    )
