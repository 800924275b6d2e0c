"""ResNets of google-research/simclr (``resnet.py``), with TensorFlow's padding; the larger half of SimCLR v2 has selective kernels.

Convolutions pad by their kernel alone, as torch does; max-pooling pads by the image, and at even sizes only below and to
the right. Layers are registered in the order in which TensorFlow creates them (the shortcut before the rest of its
block), since the authors' files number them so.
"""

from __future__ import annotations

import torch
from timm.layers.pool2d_same import MaxPool2dSame
from torch import nn
from torch.nn import functional as F

from ssl_bench.backbones.nets.resnet import BLOCKS

EXPANSION = 4
MIN_MIXING = 32
"""Least width of the layer that weighs the two kernels."""


class TFResNet(nn.Module):
    """(B, 3, H, W), RGB in [0, 1] without further normalisation -> (B, D): global average of the last stage.

    ``depth``: 50, 101, 152 or 200. ``width``: multiplier of every layer, the stem too; D = 2048 x ``width``.
    ``sk_ratio``: 0 for the plain network; else selective kernels (arXiv 1903.06586) in every block, and the stem and
    shortcuts of ResNet-D (arXiv 1812.01187), as the authors have both or neither. ``channels`` and ``blocks`` make a
    small network.
    """

    def __init__(
        self,
        depth: int = 50,
        width: int = 1,
        sk_ratio: float = 0.0,
        channels: int = 64,
        blocks: tuple[int, int, int, int] | None = None,
    ) -> None:
        super().__init__()
        if depth not in (50, 101, 152, 200):
            raise ValueError(f"depth is 50, 101, 152 or 200, not {depth}")
        stem = channels * width
        self.conv1 = _deep_stem(stem) if sk_ratio else nn.Conv2d(3, stem, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.act1 = nn.ReLU(inplace=True)
        self.maxpool = MaxPool2dSame(3, 2)
        inputs, stages = stem, []
        for stage, count in enumerate(blocks or BLOCKS[depth][1]):
            inner = stem * 2**stage
            layers = []
            for block in range(count):
                layers.append(Bottleneck(inputs, inner, 2 if stage and not block else 1, not block, sk_ratio))
                inputs = EXPANSION * inner
            stages.append(nn.Sequential(*layers))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.num_features = inputs

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.act1(self.bn1(self.conv1(images))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        pooled: torch.Tensor = x.mean(dim=(2, 3))
        return pooled


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 (with the stride, and with ``sk_ratio`` selective), 1 x 1, and the shortcut. (B, C, h, w) -> (B, 4 ``inner``, h / stride, ...)."""

    def __init__(self, inputs: int, inner: int, stride: int, projects: bool, sk_ratio: float) -> None:
        super().__init__()
        outputs = EXPANSION * inner
        if projects:
            shrink = [ShortcutPool(stride)] if sk_ratio else []
            conv = nn.Conv2d(inputs, outputs, 1, 1 if sk_ratio else stride, bias=False)
            self.downsample = nn.Sequential(*shrink, conv, nn.BatchNorm2d(outputs))
        else:
            self.downsample = nn.Sequential()
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        if sk_ratio:
            self.conv2: nn.Module = SelectiveKernels(inner, stride, sk_ratio)
        else:
            self.conv2 = nn.Sequential(
                nn.Conv2d(inner, inner, 3, stride, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU()
            )
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv2(F.relu(self.bn1(self.conv1(x))))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class SelectiveKernels(nn.Module):
    """Two 3 x 3 convolutions a and b, weighed channel by channel: (B, C, h, w) -> (B, C, h / stride, w / stride).

    out = w a + (1 - w) b with (w, 1 - w) = softmax of the two halves of a small network of mean(a + b).
    """

    def __init__(self, channels: int, stride: int, ratio: float) -> None:
        super().__init__()
        mixing = max(int(channels * ratio), MIN_MIXING)
        self.conv = nn.Conv2d(channels, 2 * channels, 3, stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(2 * channels)
        self.squeeze = nn.Conv2d(channels, mixing, 1, bias=False)
        self.squeeze_bn = nn.BatchNorm2d(mixing)
        self.weigh = nn.Conv2d(mixing, 2 * channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        both = _halves(F.relu(self.bn(self.conv(x))))
        mean = both.sum(dim=1).mean(dim=(2, 3), keepdim=True)
        weights = _halves(self.weigh(F.relu(self.squeeze_bn(self.squeeze(mean))))).softmax(dim=1)
        return (both * weights).sum(dim=1)


def _halves(x: torch.Tensor) -> torch.Tensor:
    """(B, 2 C, h, w) -> (B, 2, C, h, w)."""
    return x.reshape(len(x), 2, -1, *x.shape[2:])


class ShortcutPool(nn.Module):
    """2 x 2 average pooling of the shortcut, padded below and to the right.

    With stride 2 the padding is zeros, which count. With stride 1 (TensorFlow's SAME) it does not count, and repeating the
    last row and column says the same.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padded = F.pad(x, (0, 1, 0, 1), mode="constant" if self.stride > 1 else "replicate")
        return F.avg_pool2d(padded, 2, self.stride)


def _deep_stem(channels: int) -> nn.Sequential:
    """ResNet-D: three 3 x 3 convolutions, the first with stride 2; the norm after the last is the network's ``bn1``."""
    half = channels // 2
    layers: list[nn.Module] = []
    for inputs, stride in ((3, 2), (half, 1)):
        layers += [nn.Conv2d(inputs, half, 3, stride, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(half, channels, 3, 1, 1, bias=False))
