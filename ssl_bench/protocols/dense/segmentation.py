"""Semantic segmentation: a head on a frozen or fine-tuned backbone, scored by mIoU over the whole test set.

Cross-entropy over the pixels that are not ignored; at test the scores are brought to the image's own size, and the class
with the highest wins. mIoU = mean over classes of TP / (TP + FP + FN), counted over all test pixels together.
Sources: linear: bytedance/ibot (evaluation/semantic_segmentation), facebookresearch/dinov2; fcn: MoCo (He et al. 2020, A).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.cards import OptimizerCard
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.scenes import IGNORE, SceneSplit, scenes
from ssl_bench.protocols.dense.augment import ScaleAndCrop
from ssl_bench.protocols.dense.heads import fcn_head, linear_head
from ssl_bench.protocols.dense.nets import DenseNet, LastMaps, padded, patch_of
from ssl_bench.protocols.dense.samples import SceneBatches, label_map_sample, loaded
from ssl_bench.protocols.metrics.confusion import Confusion
from ssl_bench.protocols.protocol import Outcome, Protocol
from ssl_bench.results.bootstrap import bootstrap
from ssl_bench.settings import Settings
from ssl_bench.training.saved import Saved
from ssl_bench.training.supervised import Curve, Schedule, Training, fit
from ssl_bench.training.trainable import groups_of, trainable_copy

HEADS: dict[str, Callable[[int, int], nn.Module]] = {"linear": linear_head, "fcn": fcn_head}


class SegmentationSettings(Settings):
    """``head``; ``blocks``: how many last blocks' maps it gets; ``frozen``: only the head is trained. ``crop``, ``scale``,
    ``side``: see ScaleAndCrop; at test the shorter side is ``test_side`` pixels (None: the image's own size). ``lr`` is for
    a batch of ``batch_size``."""

    head: Literal["linear", "fcn"] = "linear"
    blocks: int = Field(1, ge=1)
    frozen: bool = True
    crop: int = Field(512, ge=16)
    scale: tuple[float, float] = (0.5, 2.0)
    side: int | None = Field(None, ge=16)
    test_side: int | None = Field(None, ge=16)
    steps: int = Field(40_000, ge=1)
    batch_size: int = Field(16, ge=1)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    warmup: int = Field(0, ge=0)
    curve: Curve = "poly"
    milestones: tuple[float, ...] = ()
    layer_decay: float = Field(1.0, gt=0, le=1)


class Segmentation(Protocol):
    """Metrics in percent: ``miou``, ``pixel_accuracy``, ``mean_class_accuracy``. ``details`` has the IoU of every class."""

    name = "segment"
    summary = "Semantic segmentation with a small head on the backbone, mIoU over all test pixels"
    settings = SegmentationSettings

    def evaluate(
        self, backbone: Backbone, dataset: Dataset, settings: SegmentationSettings, compute: Compute
    ) -> Outcome:
        splits = scenes(dataset, "label_map")
        net = build(backbone, len(dataset.classes), settings, compute)
        saved = Saved(compute, "segment", _key(backbone, splits["train"], settings, compute))
        transform = ScaleAndCrop(backbone, settings.crop, settings.scale, settings.side)
        batches = SceneBatches(splits["train"], label_map_sample, transform, settings.batch_size, net.backbone, compute)
        groups = groups_of(None if settings.frozen else net.backbone, net.head, settings.layer_decay)
        name = f"segmentation head on {backbone.name}"
        fit(net, batches, pixel_loss, training_of(settings), compute, saved, name, groups)
        outcome = score(net, splits["test"], settings, compute)
        saved.remove()
        return outcome


def build(backbone: Backbone, classes: int, settings: SegmentationSettings, compute: Compute) -> DenseNet:
    """The network with a freshly initialised head."""
    torch.manual_seed(compute.generator(33).initial_seed())
    features = LastMaps(backbone if settings.frozen else trainable_copy(backbone), settings.blocks)
    return DenseNet(features, HEADS[settings.head](features.channels, classes), settings.frozen).to(compute.device)


def training_of(settings: SegmentationSettings) -> Training:
    card = OptimizerCard(name=settings.optimizer, lr=settings.lr, weight_decay=settings.weight_decay)
    drops = tuple(round(part * settings.steps) for part in settings.milestones)
    return Training(card, Schedule(settings.steps, settings.warmup, curve=settings.curve, milestones=drops))


def pixel_loss(net: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Mean cross-entropy of the pixels that are not ignored (0 where all are)."""
    images, target = batch
    losses = F.cross_entropy(net(images).float(), target, ignore_index=IGNORE, reduction="sum")
    return {"loss": losses / (target != IGNORE).sum().clamp(min=1)}


def score(net: DenseNet, split: SceneSplit, settings: SegmentationSettings, compute: Compute) -> Outcome:
    """Every test image once, at its own size; an interval from drawing the images again."""
    confusion, each = Confusion(len(split.classes)), []
    net.eval()
    with torch.inference_mode(), compute.progress.bar("segmentation of test images", len(split)) as advance:
        for (item,) in loaded(split, label_map_sample, np.arange(len(split)), 1, compute):
            prediction = predict(net, item["image"].to(compute.device), settings.test_side, compute)
            before = confusion.counts.copy()
            confusion.add(item["target"].numpy(), prediction.cpu().numpy(), split.identity(item["index"]))
            each.append(_hits_and_union(confusion.counts - before))
            advance()
    iou = {name: round(100 * float(v), 4) for name, v in zip(split.classes, confusion.iou(), strict=True) if v == v}
    interval = bootstrap(len(each), partial(_miou_of_draw, np.stack(each)))
    return Outcome(confusion.scores(), primary="miou", interval=interval, details={"iou": iou})


def predict(net: DenseNet, image: torch.Tensor, side: int | None, compute: Compute) -> torch.Tensor:
    """(3, H, W) uint8 -> (H, W) int64 classes."""
    height, width = image.shape[-2:]
    size = (height, width) if side is None else _shorter_side(height, width, side)
    pixels = (
        image[None]
        if size == (height, width)
        else F.interpolate(image[None].float(), size, mode="bilinear", antialias=True).round().to(torch.uint8)
    )
    images = padded(net.backbone.preprocess.normalise(pixels), patch_of(net.backbone))
    with compute.autocast():
        scores = net(images)[..., : size[0], : size[1]].float()
    if size != (height, width):
        scores = F.interpolate(scores, (height, width), mode="bilinear")
    classes: torch.Tensor = scores[0].argmax(0)
    return classes


def _shorter_side(height: int, width: int, side: int) -> tuple[int, int]:
    scale = side / min(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _hits_and_union(counts: np.ndarray) -> np.ndarray:
    """(2, C): TP, and TP + FP + FN, of one image."""
    hit = np.diag(counts)
    return np.stack([hit, counts.sum(0) + counts.sum(1) - hit])


def _miou_of_draw(each: np.ndarray, counts: np.ndarray) -> float:
    """Percent, of the images drawn ``counts`` times each."""
    hit, union = np.einsum("n,nkc->kc", counts, each)
    return 100 * float((hit[union > 0] / union[union > 0]).mean()) if union.any() else float("nan")


def _key(backbone: Backbone, split: SceneSplit, settings: SegmentationSettings, compute: Compute) -> dict[str, Any]:
    """All that determines the trained head."""
    assert backbone.weights is not None
    return {
        "weights": backbone.weights.sha256,
        "definition": backbone.definition,
        "preprocess": backbone.preprocess.card.model_dump(mode="json"),
        "images": split.fingerprint,
        "settings": settings.model_dump(mode="json"),
        "seed": compute.seed,
        "precision": compute.precision,
    }
