"""Pictures of segmentation and depth: input, truth and prediction of test images side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.scenes import IGNORE, SceneSplit, scenes
from ssl_bench.protocols.dense import depth as depth_protocol
from ssl_bench.protocols.dense import segmentation as segmentation_protocol
from ssl_bench.protocols.dense.nets import DenseNet
from ssl_bench.protocols.dense.predict import predict, scored_samples
from ssl_bench.protocols.dense.samples import Make, depth_sample, label_map_sample
from ssl_bench.protocols.dense.segmentation_settings import filled
from ssl_bench.protocols.dense.settings import DenseSettings
from ssl_bench.protocols.metrics.confusion import Confusion
from ssl_bench.protocols.metrics.depth import DepthScore
from ssl_bench.reporting.figures import image_grid, spread_over

SIDE = 192


def segmentation(
    backbone: Backbone, dataset: Dataset, settings: Any, compute: Compute, out: Path, count: int = 6
) -> Path:
    """Train the task's head and draw ``count`` test images with their label maps; white does not count. The caption is the
    mIoU of that image."""
    splits = scenes(dataset, "label_map")
    settings, _ = filled(settings, backbone)
    net, saved = segmentation_protocol.trained(backbone, splits["train"], settings, compute)
    colours = palette(len(dataset.classes))

    def draw(truth: np.ndarray, scores: np.ndarray) -> tuple[list[np.ndarray], str]:
        found, confusion = scores.argmax(0), Confusion(len(dataset.classes))
        confusion.add(truth, found)
        maps = [colours[truth], colours[found], legend(np.stack([truth, found]), dataset.classes, colours)]
        return maps, f"mIoU: {confusion.scores()['miou']:.1f}"

    made = _drawn(net, splits["test"], label_map_sample, settings, compute, out, count, draw)
    saved.remove()
    return made


def depth(backbone: Backbone, dataset: Dataset, settings: Any, compute: Compute, out: Path, count: int = 6) -> Path:
    """Train the task's head and draw ``count`` test images with their depths: near is bright, grey was not measured. Both
    maps of an image have one scale. The caption is delta1 of that image."""
    splits = scenes(dataset, "depth")
    net, saved = depth_protocol.trained(backbone, splits["train"], settings, compute)

    def draw(truth: np.ndarray, found: np.ndarray) -> tuple[list[np.ndarray], str]:
        score = DepthScore(settings.low, settings.high)
        score.add(truth, found[0])
        known = truth[truth > 0]
        low, high = (float(known.min()), float(known.max())) if len(known) else (settings.low, settings.high)
        maps = [depth_colours(values, low, high) for values in (truth, np.clip(found[0], low, high))]
        return maps, f"delta1: {score.scores()['delta1']:.1f}"

    made = _drawn(net, splits["test"], depth_sample, settings, compute, out, count, draw)
    saved.remove()
    return made


def palette(classes: int) -> np.ndarray:
    """(256, 3) uint8: a colour for each class, the first dark, neighbours far apart; white for pixels to ignore."""
    colours = np.full((256, 3), 255, dtype=np.uint8)
    hue = (np.arange(classes) * 0.61803399) % 1.0  # golden ratio: any few of them in a row lie far apart
    light = np.where(np.arange(classes) == 0, 0.25, 0.6 + 0.35 * (np.arange(classes) % 2))
    waves = np.abs((6 * hue[:, None] + np.array([0, 4, 2])) % 6 - 3) - 1
    colours[:classes] = np.rint(255 * light[:, None] * np.clip(waves, 0, 1))
    colours[0] = 60
    colours[IGNORE] = 255
    return colours


def legend(maps: np.ndarray, names: Sequence[str], colours: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE, 3) uint8: colour and name of the most frequent classes of these maps, as many as there is room for."""
    line = 15
    canvas = Image.new("RGB", (SIDE, SIDE), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(11)
    counts = np.bincount(maps[maps != IGNORE].ravel(), minlength=len(names))
    most = [index for index in np.argsort(-counts, kind="stable")[: SIDE // line].tolist() if counts[index]]
    for row, index in enumerate(most):
        pen.rectangle((4, row * line + 3, 14, row * line + 13), fill=tuple(colours[index].tolist()))
        pen.text((20, row * line + 2), names[index], fill="black", font=font)
    return np.asarray(canvas)


def depth_colours(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """(H, W) metres -> (H, W, 3) in [0, 1]: yellow at ``low``, red and violet between, black at ``high``; grey at 0."""
    near = 1 - (values - low) / max(high - low, 1e-6)
    ramp = np.array([[0.0, 0.0, 0.05], [0.35, 0.05, 0.45], [0.85, 0.25, 0.3], [0.98, 0.65, 0.15], [0.98, 0.98, 0.6]])
    at = np.linspace(0, 1, len(ramp))
    drawn = np.stack([np.interp(near, at, ramp[:, channel]) for channel in range(3)], axis=-1)
    drawn[values <= 0] = 0.5
    return drawn


def _drawn(
    net: DenseNet,
    split: SceneSplit,
    make: Make,
    settings: DenseSettings,
    compute: Compute,
    out: Path,
    count: int,
    draw: Callable[[np.ndarray, np.ndarray], tuple[list[np.ndarray], str]],
) -> Path:
    """One row an image. Long sides decide the scale; tiles are square, so images are padded to squares with white."""
    chosen = split.subset(spread_over(len(split), count))
    rows, captions = [], []
    net.eval()
    with torch.inference_mode():
        for item in scored_samples(net, chosen, make, settings, compute):
            found = predict(net, item["image"], settings.view, compute).cpu().numpy()
            pictures, caption = draw(item["target"].numpy(), found)
            rows.append(squares([item["image"].permute(1, 2, 0).numpy(), *pictures]))
            captions.append(["input", "truth", caption, ""][: len(rows[-1])])
    return image_grid(rows, out, captions, side=SIDE)


def squares(pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Each (H, W, 3) uint8 or float in [0, 1] -> uint8 with white below or to the right, so that it is a square."""
    made = []
    for picture in pictures:
        pixels = picture if picture.dtype == np.uint8 else np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)
        side = max(pixels.shape[:2])
        canvas = np.full((side, side, 3), 255, dtype=np.uint8)
        canvas[: pixels.shape[0], : pixels.shape[1]] = pixels
        made.append(canvas)
    return made
