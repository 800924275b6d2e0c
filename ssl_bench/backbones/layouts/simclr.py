"""TensorFlow checkpoints of SimCLR, v1 and v2 (google-research/simclr)."""

from __future__ import annotations

import re

from torch import nn

from ssl_bench.backbones.layouts.layout import Layout, Tensors

_LAYER = re.compile(r"(conv2d|batch_normalization)(?:_([1-9]\d*))?/(\w+)")
_PARTS = {
    "conv2d": {"kernel": "weight"},
    "batch_normalization": {
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    },
}


def _by_order_of_creation(tensors: Tensors, module: nn.Module) -> Tensors:
    """``conv2d_7/kernel`` is the eighth convolution; our network registers its layers in TensorFlow's order.

    Kernels are (h, w, in, out) there and (out, in, h, w) here. Names that the network has no layer for stay as they are.
    """
    layers = {
        "conv2d": [name for name, layer in module.named_modules() if isinstance(layer, nn.Conv2d)],
        "batch_normalization": [name for name, layer in module.named_modules() if isinstance(layer, nn.BatchNorm2d)],
    }
    renamed = {}
    for name, tensor in tensors.items():
        if name.startswith("base_model/"):  # the trained weights beside their moving average, whose prefix is gone
            continue
        kind, number, part = found.groups() if (found := _LAYER.fullmatch(name)) else ("", None, "")
        place, ours = int(number or 0), _PARTS.get(kind, {}).get(part)
        if ours is None or place >= len(layers[kind]):
            renamed[name] = tensor
        else:
            kernel = ours == "weight" and tensor.dim() == 4
            renamed[f"{layers[kind][place]}.{ours}"] = tensor.permute(3, 2, 0, 1) if kernel else tensor
    return renamed


LAYOUTS = {
    # v2 files hold the weights twice: as trained, and their moving average, which is taken.
    "simclr": Layout(
        drop=(r"^global_step$", r"^(ema_model/)?head_(contrastive|supervised)/", r"/Momentum$"),
        prefixes=("ema_model/base_model/", "base_model/"),
        hook=_by_order_of_creation,
    ),
}
