"""BYOL: pickles of DeepMind's JAX code, whose networks are Haiku's (deepmind-research, byol/)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ssl_bench.backbones.layouts.layout import Layout, Tensors
from ssl_bench.errors import CheckpointError

_NAME = re.compile(
    r"res_net\d+/~/(?:block_group_(?P<group>\d)/~/block_(?P<block>\d+)/~/)?"
    r"(?P<part>initial_conv|initial_batchnorm|shortcut_conv|shortcut_batchnorm|conv|batchnorm)(?:_(?P<index>\d))?/"
    r"(?P<value>w|scale|offset|~/mean_ema/average|~/var_ema/average)"
)
_VALUES = {
    "w": "weight",
    "scale": "weight",
    "offset": "bias",
    "~/mean_ema/average": "running_mean",
    "~/var_ema/average": "running_var",
}
_HEADS = r"^(projector|predictor|classifier)/"
_NOT_USED = r"/~/(mean|var)_ema/(hidden|counter)$"
"""``average`` is ``hidden`` without its bias towards the start, and what Haiku's BatchNorm evaluates with."""


def _online(content: Any) -> Tensors:
    """Parameters and running statistics of the online network, which the authors evaluate (``eval_experiment.py``), as
    ``<module>/<name>``. The target network, the optimiser and the random state fall away."""
    try:
        state = content["experiment_state"]
        trees = (state["online_params"], state["online_state"])
        return {
            f"{module}/{name}": tensor
            for tree in trees
            for module, group in tree.items()
            for name, tensor in group.items()
        }
    except (KeyError, TypeError, AttributeError):
        entries = ", ".join(map(str, list(content)[:8])) if isinstance(content, Mapping) else "none"
        raise CheckpointError(
            "The checkpoint holds no experiment_state with online_params and online_state, as BYOL's files have "
            f"(its entries: {entries}).",
            "Name the right layout in the model's card.",
        ) from None


def _torchvision(tensors: Tensors, module: nn.Module) -> Tensors:
    """torchvision's names and shapes. What has no place there, or one that is taken already, keeps its own name and is
    left over."""
    found: Tensors = {}
    for name, tensor in tensors.items():
        new = _renamed(name)
        found[name if new is None or new in found else new] = _shaped(tensor, name.endswith("/w"))
    return found


def _renamed(name: str) -> str | None:
    match = _NAME.fullmatch(name)
    if not match:
        return None
    part, index, group, value = match["part"], match["index"], match["group"], _VALUES[match["value"]]
    if part.startswith("initial"):  # initial_conv_1 and initial_batchnorm_1 in some files
        layer = "conv1" if part == "initial_conv" else "bn1"
        return f"{layer}.{value}" if group is None else None
    if group is None or (index is None) != part.startswith("shortcut"):
        return None
    if index is None:
        layer = "downsample.0" if part == "shortcut_conv" else "downsample.1"
    else:
        layer = f"{'conv' if part == 'conv' else 'bn'}{int(index) + 1}"
    return f"layer{int(group) + 1}.{match['block']}.{layer}.{value}"


def _shaped(tensor: torch.Tensor, is_kernel: bool) -> torch.Tensor:
    """Convolutions (height, width, in, out) -> (out, in, height, width); norms (1, 1, 1, C) -> (C)."""
    if tensor.dim() != 4:
        return tensor
    if is_kernel:
        return tensor.permute(3, 2, 0, 1)
    return tensor.flatten() if tensor.shape[:3] == (1, 1, 1) else tensor


LAYOUTS = {
    "byol": Layout(extract=_online, drop=(_HEADS, _NOT_USED), hook=_torchvision),
}
