"""ResNets whose every layer is widened, as in SimCLR, BYOL, SwAV and VICReg (``resnet50w2``), and a small one for 32 x 32 images.

Not timm's ``wide_resnet50_2``, which widens the inner convolutions only. Names of parameters are torchvision's.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from ssl_bench.backbones.nets.same_padding import pad_same

Padding = Literal["torch", "same"]

BLOCKS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
    200: (Bottleneck, (3, 24, 36, 3)),
}


class ResNet(nn.Module):
    """(B, 3, H, W) -> (B, D): global average of the last stage; D = 8 x ``width`` x the block's expansion.

    ``width``: channels of the stem. ``small_stem``: for images of 32 pixels, a 3 x 3 convolution of this stride and no
    max-pooling.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: tuple[int, int, int, int],
        width: int = 64,
        small_stem: int | None = None,
    ) -> None:
        super().__init__()
        kernel, stride = (3, small_stem) if small_stem else (7, 2)
        self.conv1 = nn.Conv2d(3, width, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if small_stem else nn.MaxPool2d(3, 2, 1)
        self._channels = width
        self.layer1 = self._stage(block, width, blocks[0], stride=1)
        self.layer2 = self._stage(block, width * 2, blocks[1], stride=2)
        self.layer3 = self._stage(block, width * 4, blocks[2], stride=2)
        self.layer4 = self._stage(block, width * 8, blocks[3], stride=2)
        self.num_features = self._channels
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.act1(self.bn1(self.conv1(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        pooled: torch.Tensor = x.mean(dim=(2, 3))
        return pooled

    def _stage(self, block: type[BasicBlock] | type[Bottleneck], width: int, count: int, stride: int) -> nn.Sequential:
        out = width * block.expansion
        shortcut = None
        if stride != 1 or self._channels != out:
            shortcut = nn.Sequential(nn.Conv2d(self._channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        first = block(self._channels, width, stride, shortcut)
        self._channels = out
        return nn.Sequential(first, *(block(out, width) for _ in range(count - 1)))


def wide_resnet(
    depth: int,
    multiplier: int,
    width: int = 64,
    blocks: tuple[int, int, int, int] | None = None,
    padding: Padding = "torch",
) -> ResNet:
    """``resnet<depth>w<multiplier>``: every layer, the stem too, ``multiplier`` times as wide as ``width``. ``padding``:
    ``same`` as networks of TensorFlow and JAX have it (BYOL)."""
    if padding not in get_args(Padding):
        raise ValueError(f"padding is {' or '.join(get_args(Padding))}, not {padding!r}")
    block, usual = BLOCKS[depth]
    net = ResNet(block, blocks or usual, width=width * multiplier)
    return pad_same(net) if padding == "same" else net


def resnet_small32(width: int = 16, blocks: tuple[int, int, int, int] = (1, 1, 1, 1), stem_stride: int = 2) -> ResNet:
    """A ResNet of basic blocks for 32 x 32 images; D = 8 x ``width``. As it is, it trains in a minute on two cores.

    ``width`` 64, ``blocks`` (2, 2, 2, 2) and ``stem_stride`` 1 is the ResNet-18 of the papers' CIFAR-10 experiments.
    """
    return ResNet(BasicBlock, blocks, width=width, small_stem=stem_stride)
