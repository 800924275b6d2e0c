"""One fine-tuning: a recipe, a backbone and images -> a trained classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from timm.loss.cross_entropy import SoftTargetCrossEntropy
from torch import nn
from torch.nn import functional as F

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute, rank, world_size
from ssl_bench.data.dataset import Split
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import DataError, SettingsError, TrainingError
from ssl_bench.protocols.finetune.images import Batch, ImageBatches
from ssl_bench.protocols.finetune.net import Classifier, build, set_batch_norm_momentum
from ssl_bench.protocols.finetune.plan import Plan
from ssl_bench.protocols.finetune.recipe import Recipe
from ssl_bench.training.drop_path import set_drop_path
from ssl_bench.training.saved import Saved
from ssl_bench.training.supervised import Loss, fit
from ssl_bench.training.trainable import groups_of

FOLDER = "finetune"


@dataclass(frozen=True)
class Trained:
    """``net``: the weights as they are; ``average``: their moving average, if the recipe has one."""

    net: nn.Module
    average: nn.Module | None
    facts: dict[str, Any]
    saved: Saved

    def remove(self) -> None:
        """What was kept on the disk for a resumption."""
        if rank() == 0:
            self.saved.remove()


def train(backbone: Backbone, split: Split, recipe: Recipe, size: int, compute: Compute, name: str) -> Trained:
    """Fine-tune a copy of ``backbone`` on ``split`` with images of ``size`` pixels; goes on where an earlier call stopped.

    ``facts``: what was done, for the record.
    """
    if not isinstance(backbone.preprocess, Preprocess):
        raise SettingsError(
            f"Model {backbone.name} has a preprocess of its own, which cannot be combined with augmentation.",
            "Use a protocol on frozen features.",
        )
    check_labels(split)
    plan = Plan(recipe, len(split), world_size())
    net = build(backbone, len(split.classes), recipe, size, compute)
    if recipe.batch_norm_rule:
        set_batch_norm_momentum(net, plan.steps_per_epoch)
    batches = ImageBatches(split, plan, backbone.preprocess, size, compute)
    saved = Saved(compute, FOLDER, key(backbone, split, plan, size, compute))
    groups = groups_of(net.backbone, net.head, recipe.layer_decay, _head_scale(recipe, plan))
    try:
        evaluated = fit(net, batches, loss_of(recipe), plan.training(), compute, saved, name, groups)
    except torch.cuda.OutOfMemoryError as error:
        raise TrainingError(
            f"The GPU has too little memory for {plan.forward} images of {size} pixels at once.",
            "Give a smaller --set forward_batch=N: the images of an update stay the same.",
        ) from error
    facts = _facts(net, plan, size, batches)
    return Trained(net, None if evaluated is net else evaluated, facts, saved)


def loss_of(recipe: Recipe) -> Loss:
    """Cross-entropy, with smoothed labels or with the classes' shares in mixed images::

    loss = -mean_b sum_c t_bc log softmax(scores_b)_c,   t smoothed: (1 - s) onehot + s / C
    """
    soft = SoftTargetCrossEntropy()  # type: ignore[no-untyped-call]

    def loss(net: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        images, target = batch
        scores = net(images).float()
        if target.is_floating_point():
            return {"loss": soft(scores, target)}
        return {"loss": F.cross_entropy(scores, target, label_smoothing=recipe.smoothing)}

    return loss


def check_labels(split: Split) -> None:
    """Every label is one of the classes, and there are at least two of these."""
    if len(split.classes) < 2:
        raise DataError(f"{split.name} has {len(split.classes)} class.", "A classifier needs two or more.")
    if len(split) and not 0 <= int(split.labels.min()) <= int(split.labels.max()) < len(split.classes):
        raise DataError(
            f"{split.name}: labels go from {split.labels.min()} to {split.labels.max()}, and there are "
            f"{len(split.classes)} classes.",
            "Labels are class indices from 0.",
        )


def key(backbone: Backbone, split: Split, plan: Plan, size: int, compute: Compute) -> dict[str, Any]:
    """All that determines the trained weights."""
    assert backbone.weights is not None
    return {
        "weights": backbone.weights.sha256,
        "definition": backbone.definition,
        "preprocess": backbone.preprocess.card.model_dump(mode="json"),
        "images": split.fingerprint,
        "classes": len(split.classes),
        "recipe": plan.recipe.values(),
        "size": size,
        "processes": plan.processes,
        "seed": compute.seed,
        "precision": compute.precision,
    }


def _head_scale(recipe: Recipe, plan: Plan) -> float:
    body, head = recipe.scaled(plan.batch)
    return head / body


def _facts(net: Classifier, plan: Plan, size: int, batches: ImageBatches) -> dict[str, Any]:
    body, head = plan.recipe.scaled(plan.batch)
    values = {"image_size": size, "batch": plan.batch, "updates": plan.total, "lr_used": body, "head_lr_used": head}
    facts: dict[str, Any] = {"recipe": plan.recipe.values() | {"source": plan.recipe.source}, **values}
    facts |= {"feature": net.feature, "training_images": plan.images}
    left_out = []
    if plan.recipe.drop_path > 0 and not set_drop_path(net.backbone, plan.recipe.drop_path):
        left_out.append("drop path")
    if plan.recipe.layer_decay < 1 and not hasattr(getattr(net.backbone, "module", None), "blocks"):
        left_out.append("layer decay")
    if left_out:
        facts["note"] = f"left out, since this network has no place for it: {', '.join(left_out)}"
    if batches.skipped:
        facts["skipped"] = sorted(batches.skipped)
    return facts
