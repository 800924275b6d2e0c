"""Pictures of detection: test images with their objects, and beside them what a detector found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torchvision.transforms.v2 import functional as F
from torchvision.utils import draw_bounding_boxes, draw_segmentation_masks

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.scenes import scenes
from ssl_bench.protocols.detection.detect import DetectSettings, trained
from ssl_bench.protocols.detection.evaluate import detections as find
from ssl_bench.protocols.detection.recipes import recipe_of
from ssl_bench.protocols.detection.samples import opened, sized
from ssl_bench.reporting.figures import image_grid, spread_over

SIDE = 320
"""Pixels of the longer side of a picture."""
SHOWN = 0.3
"""Detections with a lower score are not drawn."""
COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#f032e6", "#9a6324", "#800000", "#000075")


def detections(
    backbone: Backbone, dataset: Dataset, settings: DetectSettings, compute: Compute, out: Path, count: int = 6
) -> Path:
    """Train the task's detector (or take the one that ``keep`` left) and draw ``count`` test images with their objects, and
    beside them with what is found in them with a score of at least ``SHOWN``."""
    splits = scenes(dataset, "instances")
    recipe = recipe_of(settings.recipe, backbone, settings.given())
    net, saved = trained(backbone, splits["train"], recipe, settings, compute)
    rows, captions = [], []
    for index in spread_over(len(splits["test"]), count):
        image, truth = opened(splits["test"], index, settings.masks)
        found = find(net, backbone, image, recipe, compute)
        sure = found.scores >= SHOWN
        masks = found.masks[sure] if found.masks is not None else None
        truths = [dataset.classes[label] for label in truth.labels]
        names = [f"{dataset.classes[c]} {s:.2f}" for c, s in zip(found.labels[sure], found.scores[sure], strict=True)]
        left = drawn(image, truth.boxes, truth.labels, truths, truth.masks)
        rows.append([left, drawn(image, found.boxes[sure], found.labels[sure], names, masks)])
        captions.append([f"objects: {len(truths)}", f"found: {len(names)}"])
    if not settings.keep:
        saved.remove()
    return image_grid(rows, out, captions, side=SIDE)


def drawn(
    image: torch.Tensor, boxes: np.ndarray, labels: np.ndarray, names: Sequence[str], masks: np.ndarray | None
) -> np.ndarray:
    """(3, H, W) uint8 and its objects -> (SIDE, SIDE, 3): in proportion, white where the image does not reach."""
    height, width = (int(side) for side in image.shape[-2:])
    size = sized(height, width, SIDE / max(height, width))
    picture = F.resize(image.as_subclass(torch.Tensor), size, antialias=True)
    colours = [COLOURS[label % len(COLOURS)] for label in labels.tolist()]
    if masks is not None and len(masks):
        large = F.resize(torch.from_numpy(masks.astype(np.uint8)), size, F.InterpolationMode.NEAREST) > 0
        picture = draw_segmentation_masks(picture, large, alpha=0.45, colors=colours)
    if len(boxes):
        scaled = torch.from_numpy(boxes * (np.array(size * 2)[[1, 0, 1, 0]] / np.array([width, height] * 2)))
        # White words on the box's colour: on an object of that colour they could not be read.
        words = {
            "labels": list(names),
            "label_colors": "white",
            "label_background_colors": colours,
            "fill_labels": True,
        }
        picture = draw_bounding_boxes(picture, scaled, colors=colours, width=2, **words)
    whole = torch.full((3, SIDE, SIDE), 255, dtype=torch.uint8)
    whole[:, : size[0], : size[1]] = picture
    return whole.permute(1, 2, 0).numpy()
