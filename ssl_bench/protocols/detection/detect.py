"""Object detection and instance segmentation: Faster or Mask R-CNN on a fine-tuned backbone, scored by VOC's or COCO's AP.

Sources of the settings: see ``recipes``; of the scores: ``metrics/voc_detection.py``, ``metrics/coco_detection.py``.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

import torch
from pydantic import Field
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.cards import OptimizerCard
from ssl_bench.compute import Compute, world_size
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.scenes import SceneSplit, scenes
from ssl_bench.protocols.dense.samples import SceneBatches
from ssl_bench.protocols.detection.evaluate import Score, precise_statistics, score
from ssl_bench.protocols.detection.models import detector
from ssl_bench.protocols.detection.recipes import NAMES, Detector, Name, Recipe, Resizing, recipe_of
from ssl_bench.protocols.detection.samples import sample_with, training_transform, with_objects
from ssl_bench.protocols.metrics.coco_detection import CocoScore
from ssl_bench.protocols.metrics.detection import THRESHOLDS
from ssl_bench.protocols.metrics.voc_detection import VocScore
from ssl_bench.protocols.protocol import Outcome, Protocol
from ssl_bench.results.parts import of_detections
from ssl_bench.settings import Settings
from ssl_bench.training.saved import Saved
from ssl_bench.training.supervised import Schedule, Training, fit
from ssl_bench.training.trainable import groups_of

INITIAL = 41


class DetectSettings(Settings):
    """``recipe``: the paper's numbers, which depend on the kind of network (``recipes.py``); each setting after it that is
    given replaces one of them. ``masks``: Mask R-CNN, and masks are scored. ``rule``: whose AP. ``frozen``: the pretrained
    weights are not trained. ``accumulate``: a batch is trained in so many parts. ``keep``: the trained detector stays in
    the cache, where ``figure detections`` finds it."""

    recipe: Name = "voc"
    masks: bool = False
    rule: Literal["voc2007", "voc2012", "coco"] = "voc2007"
    frozen: bool = False
    accumulate: int = Field(1, ge=1)
    keep: bool = False
    detector: Detector | None = None
    optimizer: Literal["sgd", "adamw"] | None = None
    lr: float | None = Field(None, gt=0)
    weight_decay: float | None = Field(None, ge=0)
    steps: int | None = Field(None, ge=1)
    milestones: tuple[int, ...] | None = None
    warmup: int | None = Field(None, ge=0)
    batch_size: int | None = Field(None, ge=1)
    resizing: Resizing | None = None
    sides: tuple[int, ...] | None = Field(None, min_length=1)
    scale: tuple[float, float] | None = None
    test_side: int | None = Field(None, ge=16)
    max_side: int | None = Field(None, ge=16)
    anchors: tuple[int, ...] | None = Field(None, min_length=1)
    rois: int | None = Field(None, ge=4)
    width: int | None = Field(None, ge=8)
    layer_decay: float | None = Field(None, gt=0, le=1)
    drop_path: float | None = Field(None, ge=0, lt=1)
    precise_bn: int | None = Field(None, ge=0)

    def given(self) -> dict[str, Any]:
        return {name: value for name in NAMES if (value := getattr(self, name)) is not None}


class Detect(Protocol):
    """Metrics in percent: ``ap50``, ``ap``, ``ap75``; by COCO's rule also ``ap_small``, ``ap_medium``, ``ap_large``, and the same
    of masks as ``mask_ap`` and so on. ``details``: the AP50 of every class, and the recipe as it was used."""

    name = "detect"
    summary = "Faster or Mask R-CNN on the fine-tuned backbone, AP of boxes and masks"
    settings = DetectSettings

    def evaluate(self, backbone: Backbone, dataset: Dataset, settings: DetectSettings, compute: Compute) -> Outcome:
        splits = scenes(dataset, "instances")
        recipe = recipe_of(settings.recipe, backbone, settings.given())
        with_objects(splits["test"], compute.progress)
        net, saved = trained(backbone, splits["train"], recipe, settings, compute)
        metric = _metric(len(dataset.classes), settings)
        score(net, backbone, splits["test"], recipe, metric, settings.masks, compute)
        outcome = outcome_of(metric, dataset.classes, recipe)
        if not settings.keep:
            saved.remove()
        return outcome


def trained(
    backbone: Backbone, split: SceneSplit, recipe: Recipe, settings: DetectSettings, compute: Compute
) -> tuple[GeneralizedRCNN, Saved]:
    """A detector trained on the images of ``split`` that have objects."""
    net = initial(backbone, len(split.classes), recipe, settings, compute)
    saved = Saved(compute, "detect", _key(backbone, split, recipe, settings, compute))
    images = split.subset(with_objects(split, compute.progress))
    make, transform = sample_with(settings.masks), training_transform(recipe)
    batches = SceneBatches(images, make, transform, recipe.batch_size, backbone, compute, False, settings.accumulate)
    groups = None
    if recipe.layer_decay < 1:
        head = torch.nn.ModuleList([net.rpn, net.roi_heads, *_new_parts(net)])
        groups = groups_of(None if settings.frozen else net.backbone.body, head, recipe.layer_decay)
    fit(net, batches, losses, _training(recipe, settings), compute, saved, f"detector on {backbone.name}", groups)
    precise_statistics(net, batches, recipe.precise_bn, compute)
    return net, saved


def initial(
    backbone: Backbone, classes: int, recipe: Recipe, settings: DetectSettings, compute: Compute
) -> GeneralizedRCNN:
    """The detector before the first step."""
    # The runner evaluates under inference_mode: what is made there cannot be trained.
    with torch.inference_mode(False):
        torch.manual_seed(compute.generator(INITIAL).initial_seed())
        net = detector(backbone, classes, recipe, settings.masks, settings.frozen)
        if world_size() > 1 and compute.device.type == "cuda":
            net = torch.nn.SyncBatchNorm.convert_sync_batchnorm(net)  # type: ignore[no-untyped-call]
        return net


def losses(
    net: torch.nn.Module, batch: tuple[list[torch.Tensor], list[dict[str, torch.Tensor]]]
) -> dict[str, torch.Tensor]:
    """The sum of torchvision's losses: objectness and boxes of the RPN, classes and boxes of the heads, masks."""
    found: dict[str, torch.Tensor] = net(*batch)
    return {"loss": torch.stack(list(found.values())).sum()}


def outcome_of(metric: Score, classes: tuple[str, ...], recipe: Recipe) -> Outcome:
    """The interval comes from drawing the test images again; their detections and objects stay together."""
    scores, table = metric.scores(), metric.table()
    primary = "ap" if isinstance(metric, CocoScore) else "ap50"
    parts = of_detections(table, len(THRESHOLDS) if primary == "ap" else 1)
    each = {
        name: round(100 * float(v), 3) for name, v in zip(classes, table.ap(slice(0, 1))[:, 0], strict=True) if v == v
    }
    details = {"ap50": each, "recipe": asdict(recipe)}
    return Outcome(scores, primary, interval=parts.interval(), details=details, parts=parts)


def _metric(classes: int, settings: DetectSettings) -> Score:
    return CocoScore(classes, settings.masks) if settings.rule == "coco" else VocScore(classes, settings.rule)


def _training(recipe: Recipe, settings: DetectSettings) -> Training:
    """Warm-up from a thousandth of the rate (detectron2)."""
    card = OptimizerCard(name=recipe.optimizer, lr=recipe.lr, weight_decay=recipe.weight_decay)
    schedule = Schedule(recipe.steps, recipe.warmup, 1e-3, "step", milestones=recipe.milestones)
    return Training(card, schedule, settings.accumulate)


def _new_parts(net: GeneralizedRCNN) -> list[torch.nn.Module]:
    """Layers of the pyramid that were not pretrained."""
    return [part for name, part in net.backbone.named_children() if name != "body"]


def _key(
    backbone: Backbone, split: SceneSplit, recipe: Recipe, settings: DetectSettings, compute: Compute
) -> dict[str, Any]:
    """All that determines the trained detector."""
    assert backbone.weights is not None
    return {
        "weights": backbone.weights.sha256,
        "definition": backbone.definition,
        "preprocess": backbone.preprocess.card.model_dump(mode="json"),
        "images": split.fingerprint,
        "recipe": asdict(recipe),
        "masks": settings.masks,
        "frozen": settings.frozen,
        "accumulate": settings.accumulate,
        "seed": compute.seed,
        "precision": compute.precision,
    }
