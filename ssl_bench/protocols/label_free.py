"""Metrics of features that need no labels: RankMe, uniformity, channel spread; alignment and LiDAR on augmented views."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from pydantic import Field, PositiveFloat
from torchvision.transforms import v2
from torchvision.transforms.functional import InterpolationMode

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset, Split
from ssl_bench.data.features import Features, extract
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import FeatureError
from ssl_bench.protocols import label_free_metrics as metrics
from ssl_bench.protocols.neighbours import unit_rows
from ssl_bench.protocols.protocol import FeatureProtocol, Outcome, noting_skipped
from ssl_bench.protocols.validation import validate
from ssl_bench.settings import Settings

BATCH = 128  # views a forward, unless the user says otherwise


class LabelFreeSettings(Settings):
    """``images``: how many training images are looked at, drawn by the seed (RankMe: 25,600). ``t``: uniformity's
    exponent (Wang and Isola: 2). ``eps``: added to the normalised spectrum of RankMe and LiDAR. ``lidar_images`` x
    ``lidar_views``: augmented views that are embedded (the paper's numbers differ between methods; 1000 x 50 is common);
    ``lidar_delta``: added to the diagonal of the within-image scatter. ``crop_scale``: area of the views' random crops.
    """

    images: int = Field(25_600, ge=2)
    t: PositiveFloat = 2.0
    eps: PositiveFloat = 1e-7
    lidar_images: int = Field(1000, ge=2)
    lidar_views: int = Field(50, ge=2)
    lidar_delta: PositiveFloat = 1e-4
    crop_scale: tuple[float, float] = (0.08, 1.0)


class LabelFree(FeatureProtocol):
    """All on the backbone's vectors of training images.

    Always: ``rankme`` and ``participation_ratio`` (raw vectors), ``uniformity`` and ``channel_std`` (unit vectors).
    With images: ``alignment`` (unit) and ``lidar`` (raw) over random views of the same image, without labels.
    With the user's arrays there are no views; images of one class stand in for views of one image, which USES LABELS:
    ``alignment_same_class``, ``lidar_classes`` and ``tolerance`` are therefore other names and other quantities.
    """

    name = "label_free"
    summary = "RankMe, LiDAR, alignment, uniformity and channel spread"
    settings = LabelFreeSettings

    def evaluate(self, backbone: Backbone, dataset: Dataset, settings: LabelFreeSettings, compute: Compute) -> Outcome:
        train = extract(backbone, dataset.train, compute)
        validate(train, train)
        found = spectrum(train.x[_draw(len(train), settings.images, compute)], settings, compute)
        chosen = train.index[_draw(len(train), settings.lidar_images, compute, salt=1)]
        views, image = embed_views(backbone, dataset.train, chosen, settings, compute)
        found["alignment"] = metrics.alignment_within(unit_rows(views, "view"), image)
        found["lidar"] = metrics.lidar(views, image, settings.lidar_delta, settings.eps)
        facts = {"images": min(len(train), settings.images), "view_images": len(chosen)}
        return noting_skipped(_outcome(found, facts), train)

    def evaluate_features(
        self, train: Features, test: Features, settings: LabelFreeSettings, compute: Compute
    ) -> Outcome:
        """On the training vectors only; the last three metrics use the training labels."""
        validate(train, test)
        chosen = _draw(len(train), settings.images, compute)
        x, y = train.x[chosen], train.y[chosen]
        found = spectrum(x, settings, compute)
        unit = unit_rows(x, "train")
        found["alignment_same_class"] = metrics.alignment_within(unit, y)
        found["lidar_classes"] = metrics.lidar(x, y, settings.lidar_delta, settings.eps)
        found["tolerance"] = metrics.tolerance(unit, y)
        return _outcome(found, {"images": len(x)})


def spectrum(x: np.ndarray, settings: LabelFreeSettings, compute: Compute) -> dict[str, float]:
    """The metrics of raw vectors (n, D) alone."""
    if len(x) < 2:
        raise FeatureError(f"There is {len(x)} training image.", "Label-free metrics compare images: give two or more.")
    unit = unit_rows(x, "train")
    return {
        "rankme": metrics.rankme(x, settings.eps),
        "participation_ratio": metrics.participation_ratio(x),
        "uniformity": metrics.uniformity(unit, settings.t, compute.device),
        "channel_std": metrics.channel_std(unit),
    }


@torch.inference_mode()
def embed_views(
    backbone: Backbone, split: Split, chosen: np.ndarray, settings: LabelFreeSettings, compute: Compute
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of ``lidar_views`` random views of each image of ``chosen`` (n,): (n q, D) float32, and their image (n q,)."""
    size = compute.batch_size or BATCH
    together = max(1, size // settings.lidar_views)  # images
    parts: list[np.ndarray] = []
    with compute.progress.bar("augmented views", len(chosen)) as advance:
        for start in range(0, len(chosen), together):
            some = chosen[start : start + together].tolist()
            views = torch.cat([_views(backbone, split, image, settings, compute) for image in some])
            for batch in torch.split(views, size):
                with compute.autocast():
                    parts.append(backbone(batch.to(compute.device)).float().cpu().numpy())
            advance(len(some))
    return np.concatenate(parts), np.repeat(chosen, settings.lidar_views)


def _views(backbone: Backbone, split: Split, index: int, settings: LabelFreeSettings, compute: Compute) -> torch.Tensor:
    """(q, 3, H, W) random resized crops and flips of one image, at the model's own size; fixed by seed and index."""
    card, picture = backbone.preprocess.card, split.image(index)
    size = card.crop or card.resize or (picture.height, picture.width)
    crop = v2.RandomResizedCrop(size, scale=settings.crop_scale, interpolation=InterpolationMode(card.interpolation))
    augment = v2.Compose([crop, v2.RandomHorizontalFlip()])
    to_tensor = Preprocess(card.model_copy(update={"resize": None, "crop": None}))
    with torch.random.fork_rng(devices=[]):  # torchvision draws from torch's global generator
        torch.manual_seed(compute.generator(2, index).initial_seed())
        return torch.stack([to_tensor(augment(picture)) for _ in range(settings.lidar_views)])


def _draw(images: int, wanted: int, compute: Compute, salt: int = 0) -> np.ndarray:
    """``wanted`` positions (or all) of ``images``, in order."""
    if wanted >= images:
        return np.arange(images)
    return np.sort(torch.randperm(images, generator=compute.generator(salt))[:wanted].numpy())


def _outcome(found: dict[str, float], facts: dict[str, Any]) -> Outcome:
    """A metric that the data do not define (LiDAR of one class, say) is left out."""
    return Outcome({k: v for k, v in found.items() if not math.isnan(v)}, primary="rankme", details=facts)
