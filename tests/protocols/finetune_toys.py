"""Small ViTs and ResNets, and images whose brightness tells their class, for tests of fine-tuning."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ssl_bench.backbones.archs import build, wrap
from ssl_bench.backbones.backbone import Backbone, WeightsReport
from ssl_bench.cards import PreprocessCard
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.splits import ArraySplit
from ssl_bench.protocols.finetune.recipe import Recipe

SIDE = 16
CARD = PreprocessCard(resize=SIDE, crop=SIDE, mean=(0.5,) * 3, std=(0.25,) * 3)
TINY = Recipe(
    source="made in the test",
    epochs=2,
    batch_size=16,
    lr=0.01,
    lr_batch=None,
    feature="default",
    crop_scale=(0.5, 1.0),
    forward_batch=16,
    mix_group=4,
)


def backbone(arch: str = "vit_small32", embedding: str = "default", seed: int = 0, **changes: Any) -> Backbone:
    """Frozen; the ViT has patches of 4, 16 features and two blocks."""
    arguments = {"img_size": SIDE, "dim": 16, "depth": 2, "heads": 2} if arch == "vit_small32" else {}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = wrap(build(arch, {**arguments, **changes}), embedding, CARD, arch)
    made.weights = WeightsReport("made in the test", f"{arch}-{seed}-{changes}", 1, 1)
    return made.eval().requires_grad_(False)


def split(count: int, seed: int, classes: int = 3) -> ArraySplit:
    """Class c has a mean brightness of about 60 + 60 c."""
    random = np.random.RandomState(seed)
    labels = np.arange(count) % classes
    pixels = 60 + 60 * labels[:, None, None, None] + 25 * random.randn(count, SIDE, SIDE, 3)
    return ArraySplit(pixels.clip(0, 255).astype(np.uint8), labels, [f"class {c}" for c in range(classes)])


def dataset(train: int = 48, test: int = 30, val: int = 0, metric: str = "top1", classes: int = 3) -> Dataset:
    third = split(val, 2, classes) if val else None
    return Dataset("toys", split(train, 0, classes), split(test, 1, classes), third, metric)


def compute(folder: Path, **fields: Any) -> Compute:
    return Compute(cache=folder / "cache", data_root=folder / "data", **fields)


def jpeg(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20, 18), (value,) * 3).save(file, "jpeg")
    return file.getvalue()
