"""Fine-tuning on recordings by Audio-MAE's recipe.

AudioSet: binary cross-entropy of every label, and mean average precision. ESC-50: a training for each of the five folds,
tested on it, and the mean of the five accuracies. Nothing is chosen: the network after the last epoch is scored.
Source: facebookresearch/AudioMAE main_finetune_as.py, ft_as.sh, submit_ft_mask_bal.sh, main_finetune_esc.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.features import evaluating
from ssl_bench.data.recordings import AudioSplit, Fold, folds_of
from ssl_bench.errors import DataError
from ssl_bench.protocols.audio.augment import AudioAugmentNumbers, TrainSounds, balanced
from ssl_bench.protocols.audio.front_end import FrontEnd, spectrogram_of
from ssl_bench.protocols.audio.net import AudioClassifier, build, for_frames
from ssl_bench.protocols.audio.score import classification, tagging
from ssl_bench.protocols.media.samples import MediaBatches, Skipped, loaded, shuffled
from ssl_bench.protocols.media.training import FineTuneNumbers, key, plan
from ssl_bench.protocols.protocol import Outcome, Predictions, Protocol
from ssl_bench.training.saved import Saved
from ssl_bench.training.supervised import Loss, fit
from ssl_bench.training.trainable import groups_of


class AudioSettings(FrontEnd, AudioAugmentNumbers, FineTuneNumbers):
    """Values of AudioSet's balanced part (ft_as.sh). ``loss``: ``bce`` (every label by itself) or ``ce`` (one label, with
    ``smoothing``). ``mask_time`` and ``mask_frequency``: shares of the grid of patches that are left out in training."""

    loss: Literal["bce", "ce"] = "bce"
    smoothing: float = Field(0.0, ge=0, lt=1)
    epochs: int = Field(60, ge=1)
    batch_size: int = Field(32, ge=1)
    forward_batch: int = Field(32, ge=1)
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(5e-4, ge=0)
    warmup_epochs: float = Field(4, ge=0)
    drop_path: float = Field(0.1, ge=0, lt=1)
    mask_time: float = Field(0.2, ge=0, lt=1)
    mask_frequency: float = Field(0.2, ge=0, lt=1)


class Audio(Protocol):
    """Metrics in percent: ``map`` of several labels a recording, else ``top1`` and ``mean_per_class``."""

    name = "audio"
    summary = "Fine-tuning on recordings (Audio-MAE's recipe): accuracy, over folds where there are, or mean AP"
    settings = AudioSettings

    def evaluate(self, backbone: Backbone, dataset: Dataset, settings: AudioSettings, compute: Compute) -> Outcome:
        folds = folds_of(dataset)
        if settings.loss == "ce" and folds[0].train.tags is not None:
            raise DataError(f"Data set {dataset.name} has several labels a recording.", "Use --set loss=bce.")
        body = for_frames(backbone, settings.frames, settings.bins)
        parts, saved = [], []
        for fold in folds:
            # What an earlier fold has learnt is kept until all are done: a stop costs one fold at most.
            state = Saved(compute, "audio", key(backbone, fold.train, settings, compute))
            saved.append(state)
            parts.append(_scores(train(body, fold, settings, compute, state), fold.test, settings, compute))
        outcome = _outcome(folds, parts, dataset)
        for state in saved:
            state.remove()
        return outcome


def train(body: Backbone, fold: Fold, settings: AudioSettings, compute: Compute, saved: Saved) -> AudioClassifier:
    """The network after the last epoch."""
    split, classes = fold.train, len(fold.train.classes)
    net = build(body, classes, settings.mask_time, settings.mask_frequency, settings.drop_path, compute)
    length = len(split) if settings.draws is None else min(settings.draws, len(split))
    size, training = plan(settings, length)
    order = shuffled(length, compute) if settings.draws is None else partial(balanced, split, length, compute)
    batches = MediaBatches(
        order,
        length,
        TrainSounds(split, settings, settings, compute.seed),
        _OnDevice(compute.device),
        size,
        compute,
    )
    groups = groups_of(net.backbone, nn.ModuleList([net.norm, net.head]), settings.layer_decay)
    name = f"fine-tuning {body.name} on recordings, {fold.name}"
    return _as_classifier(fit(net, batches, loss_of(settings), training, compute, saved, name, groups))


def _as_classifier(net: nn.Module) -> AudioClassifier:
    assert isinstance(net, AudioClassifier)
    return net


class _OnDevice:
    """A list of samples -> (B, 1, frames, bins) and (B, C) on the device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __call__(
        self, items: list[tuple[torch.Tensor, torch.Tensor]], epoch: int, step: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        x, target = (torch.stack(parts).to(self.device) for parts in zip(*items, strict=True))
        return x, target


def loss_of(settings: AudioSettings) -> Loss:
    """``bce``: mean over samples and classes; ``ce``: cross-entropy with (mixed) soft labels."""

    def loss(net: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> dict[str, torch.Tensor]:
        x, target = batch
        logits = net(x).float()
        if settings.loss == "bce":
            return {"loss": F.binary_cross_entropy_with_logits(logits, target)}
        return {"loss": F.cross_entropy(logits, target, label_smoothing=settings.smoothing)}

    return loss


def _scores(
    net: AudioClassifier, split: AudioSplit, settings: AudioSettings, compute: Compute
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(n,) positions in ``split``, (n, C) logits, and what could not be read."""
    make: Callable[[int], torch.Tensor] = partial(spectrogram_of, split, numbers=settings)
    size = compute.batch_size or settings.forward_batch
    index, logits, skipped = [], [], []
    with evaluating(net.backbone, compute), compute.progress.bar("test recordings", len(split)) as advance:
        net.eval()
        done = 0
        for items in loaded(make, np.arange(len(split)), size, compute):
            good = [(done + i, item) for i, item in enumerate(items) if not isinstance(item, Skipped)]
            skipped += [
                str(split.file(item.index) or split.identity(item.index)) for item in items if isinstance(item, Skipped)
            ]
            if good:
                with compute.autocast():
                    found = net(torch.stack([item for _, item in good]).to(compute.device))
                logits.append(found.float().cpu().numpy())
                index += [i for i, _ in good]
            done += len(items)
            advance(len(items))
    if not index:
        raise DataError(f"None of the {len(split)} test recordings can be read.")
    return np.array(index), np.concatenate(logits), skipped


def _outcome(folds: list[Fold], parts: list[tuple[np.ndarray, np.ndarray, list[str]]], dataset: Dataset) -> Outcome:
    skipped = sorted({name for _, _, names in parts for name in names})
    details = {"skipped": skipped} if skipped else {}
    if folds[0].test.tags is not None:
        index, logits, _ = parts[0]
        return tagging(folds[0].test.tags.present(index), logits, dataset.classes, details)
    found = [predictions(fold, index, logits) for fold, (index, logits, _) in zip(folds, parts, strict=True)]
    return classification([fold.name for fold in folds], found, details)


def predictions(fold: Fold, index: np.ndarray, logits: np.ndarray) -> Predictions:
    """``index`` counts in the data set's test split: in that of a fold, it is found through the subset."""
    own = getattr(fold.test, "indices", None)
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    score = (shifted / shifted.sum(axis=1, keepdims=True)).max(axis=1)
    place = index if own is None else own[index]
    return Predictions(place, fold.test.labels[index], logits.argmax(axis=1), score)
