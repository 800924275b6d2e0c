"""ResNets under torchvision's names, as shapes and as plain functions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch.nn import functional as F

from proofs.proof import Shapes, Tensors

R50 = (3, 4, 6, 3)
THIN = {"layers": [2, 1, 1, 1], "channels": [8, 16, 24, 32]}
"""``arch_args`` that make a small network of timm's ``resnet50``."""
THIN_BLOCKS, THIN_WIDTHS = (2, 1, 1, 1), (8, 16, 24, 32)


def norm_shapes(name: str, channels: int) -> Shapes:
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}


def resnet_shapes(
    blocks: Sequence[int] = R50,
    widths: Sequence[int] = (64, 128, 256, 512),
    stem: int = 64,
    channels_in: int = 3,
    groups: int = 1,
    group_width: int = 64,
) -> Shapes:
    """Bottleneck blocks; the first block of a stage has a projection shortcut. ``widths``: a quarter of each stage's outer
    channels, and its inner ones unless there are ``groups`` of another ``group_width`` (at 64; torchvision's
    ``width_per_group``)."""
    shapes: Shapes = {"conv1.weight": (stem, channels_in, 7, 7), **norm_shapes("bn1", stem)}
    channels = stem
    for stage, (count, width) in enumerate(zip(blocks, widths, strict=True), start=1):
        inner, out = width * group_width // 64 * groups, 4 * width
        for block in range(count):
            at = f"layer{stage}.{block}"
            shapes |= {f"{at}.conv1.weight": (inner, channels, 1, 1), **norm_shapes(f"{at}.bn1", inner)}
            shapes |= {f"{at}.conv2.weight": (inner, inner // groups, 3, 3), **norm_shapes(f"{at}.bn2", inner)}
            shapes |= {f"{at}.conv3.weight": (out, inner, 1, 1), **norm_shapes(f"{at}.bn3", out)}
            if block == 0:
                shapes |= {f"{at}.downsample.0.weight": (out, channels, 1, 1), **norm_shapes(f"{at}.downsample.1", out)}
            channels = out
    return shapes


def wide_shapes(multiplier: int, blocks: Sequence[int] = R50, width: int = 64) -> Shapes:
    """Every layer ``multiplier`` times as wide, the stem too."""
    base = width * multiplier
    return resnet_shapes(blocks, [base, 2 * base, 4 * base, 8 * base], stem=base)


def basic_shapes(
    blocks: Sequence[int] = (2, 2, 2, 2), widths: Sequence[int] = (64, 128, 256, 512), stem: int = 64
) -> Shapes:
    """Two 3 x 3 convolutions a block (ResNet-18); a projection shortcut where stride or channels change."""
    shapes: Shapes = {"conv1.weight": (stem, 3, 7, 7), **norm_shapes("bn1", stem)}
    channels = stem
    for stage, (count, out) in enumerate(zip(blocks, widths, strict=True), start=1):
        for block in range(count):
            at = f"layer{stage}.{block}"
            shapes |= {f"{at}.conv1.weight": (out, channels, 3, 3), **norm_shapes(f"{at}.bn1", out)}
            shapes |= {f"{at}.conv2.weight": (out, out, 3, 3), **norm_shapes(f"{at}.bn2", out)}
            if block == 0 and (stage > 1 or out != channels):
                shapes |= {f"{at}.downsample.0.weight": (out, channels, 1, 1), **norm_shapes(f"{at}.downsample.1", out)}
            channels = out
    return shapes


thin_shapes = partial(resnet_shapes, THIN_BLOCKS, THIN_WIDTHS)


def norm(t: Tensors, name: str, x: torch.Tensor) -> torch.Tensor:
    """BatchNorm at evaluation: running statistics, eps 1e-5."""
    mean, var = t[f"{name}.running_mean"], t[f"{name}.running_var"]
    return F.batch_norm(x, mean, var, t[f"{name}.weight"], t[f"{name}.bias"], eps=1e-5)


def resnet_forward(t: Tensors, images: torch.Tensor, last_stride: int = 2) -> torch.Tensor:
    """torchvision's bottleneck ResNet (stride in the 3 x 3 convolution) with global average pooling; the depth is read
    off the tensors' names."""
    x = F.relu(norm(t, "bn1", F.conv2d(images, t["conv1.weight"], stride=2, padding=3)))
    x = F.max_pool2d(x, 3, 2, 1)
    for stage in (1, 2, 3, 4):
        block = 0
        while (at := f"layer{stage}.{block}") + ".conv1.weight" in t:
            stride = 1 if block or stage == 1 else last_stride if stage == 4 else 2
            y = F.relu(norm(t, f"{at}.bn1", F.conv2d(x, t[f"{at}.conv1.weight"])))
            groups = y.shape[1] // t[f"{at}.conv2.weight"].shape[1]
            y = F.conv2d(y, t[f"{at}.conv2.weight"], stride=stride, padding=1, groups=groups)
            y = F.relu(norm(t, f"{at}.bn2", y))
            y = norm(t, f"{at}.bn3", F.conv2d(y, t[f"{at}.conv3.weight"]))
            if f"{at}.downsample.0.weight" in t:
                x = norm(t, f"{at}.downsample.1", F.conv2d(x, t[f"{at}.downsample.0.weight"], stride=stride))
            x, block = F.relu(x + y), block + 1
    return x.mean(dim=(2, 3))


def basic_forward(t: Tensors, images: torch.Tensor) -> torch.Tensor:
    """torchvision's ResNet-18 or 34 with global average pooling."""
    x = F.relu(norm(t, "bn1", F.conv2d(images, t["conv1.weight"], stride=2, padding=3)))
    x = F.max_pool2d(x, 3, 2, 1)
    for stage in (1, 2, 3, 4):
        block = 0
        while (at := f"layer{stage}.{block}") + ".conv1.weight" in t:
            stride = 2 if stage > 1 and not block else 1
            y = F.relu(norm(t, f"{at}.bn1", F.conv2d(x, t[f"{at}.conv1.weight"], stride=stride, padding=1)))
            y = norm(t, f"{at}.bn2", F.conv2d(y, t[f"{at}.conv2.weight"], padding=1))
            if f"{at}.downsample.0.weight" in t:
                x = norm(t, f"{at}.downsample.1", F.conv2d(x, t[f"{at}.downsample.0.weight"], stride=stride))
            x, block = F.relu(x + y), block + 1
    return x.mean(dim=(2, 3))
