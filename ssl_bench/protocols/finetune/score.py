"""Test images through a trained classifier."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from ssl_bench.compute import Compute, rank, world_size
from ssl_bench.data.dataset import Split
from ssl_bench.data.loader import image_batches
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import DataError, ImageError
from ssl_bench.protocols.accuracy import accuracy_interval, accuracy_metrics
from ssl_bench.protocols.finetune.net import resize_for_test
from ssl_bench.protocols.finetune.recipe import Recipe
from ssl_bench.protocols.protocol import Outcome, Predictions


@dataclass
class Answers:
    """For every readable test image in order: position, the five best classes (or all, if there are fewer), and the
    probability of the best."""

    index: np.ndarray
    best: np.ndarray
    score: np.ndarray
    skipped: list[str] = field(default_factory=list)

    def metrics(self, labels: np.ndarray, classes: int) -> dict[str, float]:
        """``top1``, ``mean_per_class``, and ``top5`` where there are more than five classes; in percent."""
        truth = labels[self.index]
        found = accuracy_metrics(truth, self.best[:, 0])
        if classes > 5:
            found["top5"] = 100 * float((self.best == truth[:, None]).any(axis=1).mean())
        return found


def preprocess_for_test(preprocess: Preprocess, recipe: Recipe, size: int, ratio: float) -> Preprocess:
    """The recipe's geometry (shorter side, central crop, interpolation) with the model's normalisation."""
    geometry = {"resize": resize_for_test(size, ratio), "crop": size, "interpolation": recipe.interpolation}
    return Preprocess(preprocess.card.model_copy(update={**geometry, "squash": False, "crop_first": None}))


def answers(net: nn.Module, split: Split, preprocess: Preprocess, compute: Compute) -> Answers:
    """Every image once: each process takes its share, nothing is padded, and all get everything."""
    mine = np.arange(rank(), len(split), world_size())
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    skipped: list[str] = []

    def note(index: int, error: ImageError) -> None:
        skipped.append(str(split.file(index) or split.identity(index)))
        compute.progress.note(f"Skipped: {error.message}")

    batch = compute.batch_size or (64 if compute.device.type == "cpu" else 256)
    batches = image_batches(
        split, preprocess, mine, batch, compute.workers, device=compute.device,
        on_broken=note if compute.skip_broken else None,
    )  # fmt: skip
    net.eval()
    with torch.inference_mode(), compute.progress.bar("test images", len(mine)) as advance:
        for where, images in batches:
            with compute.autocast():
                scores = net(images)
            probabilities = scores.float().softmax(dim=1)
            top = probabilities.topk(min(5, probabilities.shape[1]), dim=1)
            parts.append((where, top.indices.cpu().numpy(), top.values[:, 0].cpu().numpy()))
            advance(len(where))
    gathered = _everywhere((parts, skipped))
    rows = [row for found, _ in gathered for row in found]
    if not rows:
        raise DataError(f"No image of {split.name} can be read.")
    index, best, score = (np.concatenate(column) for column in zip(*rows, strict=True))
    order = np.argsort(index)
    return Answers(index[order], best[order], score[order], [one for _, some in gathered for one in some])


def outcome_of(found: Answers, split: Split, metric: str, details: dict[str, Any]) -> Outcome:
    """Metrics with ``metric`` as primary, its interval, and the predictions."""
    truth, prediction = split.labels[found.index], found.best[:, 0]
    if found.skipped:
        details = {**details, "skipped": sorted({*found.skipped, *details.get("skipped", ())})}
    return Outcome(
        found.metrics(split.labels, len(split.classes)),
        primary=metric,
        interval=accuracy_interval(truth, prediction, metric),
        predictions=Predictions(found.index, truth, prediction, found.score),
        details=details,
    )


def _everywhere(value: Any) -> list[Any]:
    """The values of all processes."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values
