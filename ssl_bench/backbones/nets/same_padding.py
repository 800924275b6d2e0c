"""TensorFlow's padding "SAME", for networks that were trained in TensorFlow or JAX."""

from __future__ import annotations

from typing import TypeVar

from timm.layers.conv2d_same import Conv2dSame
from timm.layers.pool2d_same import MaxPool2dSame
from torch import nn

Net = TypeVar("Net", bound=nn.Module)


def pad_same(net: Net) -> Net:
    """``net`` itself, whose strided layers now pad as TensorFlow does; its tensors stay the same.

    n pixels become ceil(n / stride), with max((ceil(n / stride) - 1) * stride + kernel - n, 0) pixels of padding in all,
    the smaller half of them before: for the 7 x 7 convolution at 224 pixels 2 before and 3 after, where torch pads 3 and
    3. Without a stride both are the same for odd kernels.
    """
    for parent in list(net.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.MaxPool2d):
                setattr(parent, name, MaxPool2dSame(layer.kernel_size, layer.stride))
            elif isinstance(layer, nn.Conv2d) and layer.stride != (1, 1):
                setattr(parent, name, _same(layer))
    return net


def _same(layer: nn.Conv2d) -> nn.Conv2d:
    (height, width), (down, right) = layer.kernel_size, layer.stride
    sizes: tuple[tuple[int, int], tuple[int, int]] = (height, width), (down, right)
    padded = Conv2dSame(layer.in_channels, layer.out_channels, *sizes, groups=layer.groups, bias=layer.bias is not None)
    padded.weight, padded.bias = layer.weight, layer.bias
    return padded
