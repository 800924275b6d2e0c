"""Running a detector over test images, and BatchNorm's statistics before that."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.models.detection.transform import resize_boxes
from torchvision.transforms.v2 import functional as F

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.scenes import SceneSplit
from ssl_bench.protocols.dense.samples import Sample, SceneBatches, loaded
from ssl_bench.protocols.detection.recipes import Recipe
from ssl_bench.protocols.detection.samples import opened, size_at_test
from ssl_bench.protocols.metrics.coco_detection import CocoScore
from ssl_bench.protocols.metrics.detection import Detections
from ssl_bench.protocols.metrics.voc_detection import VocScore

Score = VocScore | CocoScore
FOREGROUND = 0.5
"""Pixels of a mask above this probability belong to the object."""


def score(
    net: GeneralizedRCNN,
    backbone: Backbone,
    split: SceneSplit,
    recipe: Recipe,
    metric: Score,
    masks: bool,
    compute: Compute,
) -> None:
    """Add every test image, one at a time, to ``metric``."""
    make = whole_sample(masks)
    with compute.progress.bar(f"detection on {split.name}", len(split)) as advance:
        for (item,) in loaded(split, make, np.arange(len(split)), 1, compute):
            found = detections(net, backbone, item["image"], recipe, compute)
            if isinstance(metric, CocoScore):
                metric.add(item["truth"], found, tuple(item["image"].shape[-2:]))
            else:
                metric.add(item["truth"], found)
            advance()


def whole_sample(masks: bool) -> Any:
    """Samples with ``image`` (3, H, W) uint8 and ``truth``, all its objects."""

    def make(split: SceneSplit, index: int) -> Sample:
        image, truth = opened(split, index, masks)
        return {"image": image, "truth": truth}

    return make


@torch.inference_mode()
def detections(
    net: GeneralizedRCNN, backbone: Backbone, image: torch.Tensor, recipe: Recipe, compute: Compute
) -> Detections:
    """What is found in one image (3, H, W) uint8, in its own pixels."""
    net.eval()
    size = int(image.shape[-2]), int(image.shape[-1])
    shown = F.resize(image.to(compute.device), size_at_test(*size, recipe), antialias=True)
    pixels = backbone.preprocess.normalise(shown.as_subclass(torch.Tensor))
    with compute.autocast():
        (found,) = net([pixels])
    boxes = resize_boxes(found["boxes"].float(), list(pixels.shape[-2:]), list(size))
    masks = None
    if "masks" in found:
        masks = paste_masks_in_image(found["masks"].float(), boxes, size)[:, 0].cpu().numpy() > FOREGROUND
    labels = found["labels"].cpu().numpy() - 1
    return Detections(boxes.cpu().numpy().astype(np.float64), labels, found["scores"].float().cpu().numpy(), masks)


@torch.inference_mode()
def precise_statistics(net: GeneralizedRCNN, batches: SceneBatches, count: int, compute: Compute) -> None:
    """Count the running mean and variance of every BatchNorm in training anew, as the mean over ``count`` training batches
    with the final weights (detectron2's precise BN). 0: leave them."""
    layers = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    net.train()
    layers = [layer for layer in layers if layer.training]
    if not count or not layers:
        net.eval()
        return
    momentum = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean
    with compute.progress.bar("statistics of BatchNorm", count) as advance:
        epoch, done = 0, 0
        while done < count:
            for images, targets in batches.epoch(epoch):
                with compute.autocast():
                    net(images, targets)
                advance()
                done += 1
                if done == count:
                    break
            epoch += 1
    for layer, value in zip(layers, momentum, strict=True):
        layer.momentum = value
    net.eval()
