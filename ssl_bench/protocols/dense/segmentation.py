"""Semantic segmentation: a head on a frozen or fine-tuned backbone, scored by mIoU over the whole test set.

Cross-entropy over the pixels that are not ignored (plus 0.4 times that of an auxiliary head for UPerNet); at test the class
with the highest score wins. mIoU = mean over classes of TP / (TP + FP + FN), counted over all test pixels together.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.scenes import IGNORE, SceneSplit, scenes
from ssl_bench.protocols.dense import train as training
from ssl_bench.protocols.dense.heads import auxiliary_head, convnext_head, fcn_head, linear_head
from ssl_bench.protocols.dense.nets import DenseNet
from ssl_bench.protocols.dense.predict import predict, scored_samples
from ssl_bench.protocols.dense.rates import choose_rate, hold_out
from ssl_bench.protocols.dense.samples import label_map_sample
from ssl_bench.protocols.dense.segmentation_settings import SegmentationSettings, filled
from ssl_bench.protocols.dense.settings import DenseSettings
from ssl_bench.protocols.dense.taps import Taps
from ssl_bench.protocols.dense.upernet import upernet_head
from ssl_bench.protocols.metrics.confusion import Confusion
from ssl_bench.protocols.protocol import Outcome, Protocol, Selection
from ssl_bench.results.parts import of_ratios
from ssl_bench.training.saved import Saved

AUXILIARY_WEIGHT = 0.4


class Segmentation(Protocol):
    """Metrics in percent: ``miou``, ``pixel_accuracy``, ``mean_class_accuracy``. ``details`` has the IoU of every class, and
    what the recipe and the choice of the rate gave."""

    name = "segment"
    summary = "Semantic segmentation with a head on the backbone, mIoU over all test pixels"
    settings = SegmentationSettings

    def evaluate(
        self, backbone: Backbone, dataset: Dataset, settings: SegmentationSettings, compute: Compute
    ) -> Outcome:
        splits = scenes(dataset, "label_map")
        settings, details = filled(settings, backbone)
        states: list[Saved] = []
        if settings.rates:
            settings, scores = self._with_rate(backbone, splits["train"], settings, compute, states)
            details |= {"rate": settings.lr, "held_out_miou": scores}
        net, state = trained(backbone, splits["train"], settings, compute)
        found = score(net, splits["test"], settings, compute)
        for saved in (*states, state):
            saved.remove()
        selection: Selection = "held_out" if settings.rates else "fixed"
        return Outcome(
            found.metrics, "miou", selection, found.interval, None, {**found.details, **details}, found.parts
        )

    def _with_rate(
        self,
        backbone: Backbone,
        split: SceneSplit,
        settings: SegmentationSettings,
        compute: Compute,
        states: list[Saved],
    ) -> tuple[SegmentationSettings, dict[str, float | None]]:
        """The settings with the best of the rates; ``states`` get what was trained on the way."""
        rest, held = hold_out(split, settings.held_out, compute)

        def of(rate: float) -> float:
            net, state = trained(backbone, rest, settings.model_copy(update={"lr": rate}), compute)
            states.append(state)
            return score(net, held, settings, compute).metrics["miou"]

        rate, scores = choose_rate(settings.rates, of)
        return settings.model_copy(update={"lr": rate}), scores


def trained(
    backbone: Backbone, split: SceneSplit, settings: SegmentationSettings, compute: Compute
) -> tuple[DenseNet, Saved]:
    """The trained network, and its state on the disk. ``settings`` as :func:`filled` gives them."""
    net = build(backbone, len(split.classes), settings, compute)
    return net, training.train(net, split, label_map_sample, pixel_loss, settings, compute, Segmentation.name)


def build(backbone: Backbone, classes: int, settings: SegmentationSettings, compute: Compute) -> DenseNet:
    """The network with freshly initialised heads."""

    def heads(taps: Taps) -> tuple[nn.Module, nn.Module | None]:
        if settings.head == "upernet":
            width = settings.width or (512 if taps.staged else taps.channels[-1])
            head = upernet_head(taps.channels, taps.strides, taps.staged, classes, width)
            return head, auxiliary_head(taps.channels, classes)
        if settings.head == "fcn":
            return fcn_head(taps.channels, classes, settings.width or 256), None
        if settings.head == "convnext":
            return convnext_head(taps.channels, classes, settings.width or 6144), None
        return linear_head(taps.channels, classes), None

    return training.build(backbone, settings, compute, heads)


def pixel_loss(net: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Mean cross-entropy of the pixels that are not ignored (0 where all are); heads after the first count 0.4."""
    assert isinstance(net, DenseNet)
    images, target = batch
    known = (target != IGNORE).sum().clamp(min=1)
    losses = [
        F.cross_entropy(scores, target, ignore_index=IGNORE, reduction="sum") / known
        for scores in net.with_auxiliary(images)
    ]
    return {"loss": losses[0] + sum(AUXILIARY_WEIGHT * loss for loss in losses[1:])}


def score(net: DenseNet, split: SceneSplit, settings: DenseSettings, compute: Compute) -> Outcome:
    """Every test image once; an interval from drawing the images again."""
    confusion, each, index = Confusion(len(split.classes)), [], []
    net.eval()
    with torch.inference_mode(), compute.progress.bar("segmentation of test images", len(split)) as advance:
        for item in scored_samples(net, split, label_map_sample, settings, compute):
            prediction = predict(net, item["image"], settings.view, compute).argmax(0)
            before = confusion.counts.copy()
            confusion.add(item["target"].numpy(), prediction.cpu().numpy(), split.identity(item["index"]))
            each.append(_hits_and_union(confusion.counts - before))
            index.append(item["index"])
            advance()
    iou = {name: round(100 * float(v), 4) for name, v in zip(split.classes, confusion.iou(), strict=True) if v == v}
    hit, union = np.stack(each, axis=1)
    parts = of_ratios(hit, union, np.array(index))
    return Outcome(confusion.scores(), primary="miou", interval=parts.interval(), details={"iou": iou}, parts=parts)


def _hits_and_union(counts: np.ndarray) -> np.ndarray:
    """(2, C): TP, and TP + FP + FN, of one image."""
    hit = np.diag(counts)
    return np.stack([hit, counts.sum(0) + counts.sum(1) - hit])
