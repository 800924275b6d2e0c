"""Predictions for whole test images, at once or window by window."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.nn import functional as F

from ssl_bench.compute import Compute
from ssl_bench.data.scenes import SceneSplit
from ssl_bench.protocols.dense.augment import size_for
from ssl_bench.protocols.dense.nets import DenseNet
from ssl_bench.protocols.dense.samples import Make, Sample, loaded
from ssl_bench.protocols.dense.settings import DenseSettings, View

AT_ONCE = 4
"""Windows that go through the network together."""


def predict(net: DenseNet, image: torch.Tensor, view: View, compute: Compute) -> torch.Tensor:
    """(3, H, W) uint8 -> (C, H, W) float32 scores at the image's own size; where windows overlap, their mean."""
    height, width = int(image.shape[-2]), int(image.shape[-1])
    size = size_for(height, width, view.side) if view.side else (height, width)
    pixels = image[None].to(compute.device)
    if size != (height, width):
        pixels = (
            F.interpolate(pixels.float(), size, mode="bilinear", antialias=True).round().clamp(0, 255).to(torch.uint8)
        )
    inputs = net.backbone.preprocess.normalise(pixels)
    with compute.autocast():
        scores = net(inputs).float() if view.mode == "whole" else slide(net, inputs, view.window, view.stride)
    if size != (height, width):
        scores = F.interpolate(scores, (height, width), mode="bilinear")
    found: torch.Tensor = scores[0]
    return found


def scored_samples(
    net: DenseNet, split: SceneSplit, make: Make, settings: DenseSettings, compute: Compute
) -> Iterator[Sample]:
    """The test images one by one, with their truth, as they are scored; ``index`` says which."""
    crop = settings.test_crop(net.backbone)
    for (item,) in loaded(split, make, np.arange(len(split)), 1, compute):
        yield item if crop is None else crop(item)


def slide(net: torch.nn.Module, images: torch.Tensor, window: int, stride: int) -> torch.Tensor:
    """(1, 3, H, W) -> (1, C, H, W): mean of the windows that cover a pixel. The last window of a row or column ends where the
    image does; windows are never larger than the image (mmsegmentation ``slide_inference``)."""
    height, width = images.shape[-2:]
    h, w = min(window, height), min(window, width)
    places = [(top, left) for top in starts(height, h, stride) for left in starts(width, w, stride)]
    total, count = None, images.new_zeros(1, 1, height, width)
    for at in range(0, len(places), AT_ONCE):
        some = places[at : at + AT_ONCE]
        found = net(torch.cat([images[..., top : top + h, left : left + w] for top, left in some])).float()
        total = images.new_zeros(1, found.shape[1], height, width) if total is None else total
        for scores, (top, left) in zip(found, some, strict=True):
            total[..., top : top + h, left : left + w] += scores
            count[..., top : top + h, left : left + w] += 1
    assert total is not None
    return total / count


def starts(length: int, window: int, stride: int) -> list[int]:
    """Where windows begin along one side of the image."""
    count = max(length - window + stride - 1, 0) // stride + 1
    return [min(i * stride, length - window) for i in range(count)]
