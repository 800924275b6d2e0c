"""BYOL's files (negative_free.md, 5. and its corrections), as shapes, as a pickle and as plain functions."""

from __future__ import annotations

import collections
import pickle
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch.nn import functional as F

from proofs.proof import ONE, Shapes, Tensors

ROOT = "res_net50/~"


def byol_shapes(root: str, blocks: Sequence[int], width: int, first: str = "") -> Shapes:
    """Every tensor under its module and name: kernels (height, width, in, out), norms (1, 1, 1, C). ``first``: what follows
    the names of the first convolution and norm."""
    shapes: Shapes = {
        f"{root}/initial_conv{first}/w": (7, 7, 3, width),
        **_norm(f"{root}/initial_batchnorm{first}", width),
    }
    channels = width
    for group, count in enumerate(blocks):
        inner, out = width * 2**group, 4 * width * 2**group
        for block in range(count):
            at = f"{root}/block_group_{group}/~/block_{block}/~"
            for i, (side, a, b) in enumerate(((1, channels, inner), (3, inner, inner), (1, inner, out))):
                shapes |= {f"{at}/conv_{i}/w": (side, side, a, b), **_norm(f"{at}/batchnorm_{i}", b)}
            if block == 0:
                shapes |= {f"{at}/shortcut_conv/w": (1, 1, channels, out), **_norm(f"{at}/shortcut_batchnorm", out)}
            channels = out
    return shapes


def _norm(name: str, channels: int) -> Shapes:
    parts = ("scale", "offset", "~/mean_ema/average", "~/var_ema/average")
    return {f"{name}/{part}": (1, 1, 1, channels) for part in parts}


def experiment(tensors: Tensors) -> dict[str, Any]:
    """What checkpointing.py saves: both networks with their heads, the optimiser, the step, the random state."""
    heads = ("projector/linear/w", "projector/batch_norm/scale", "predictor/linear_1/w", "classifier/w", "classifier/b")
    params = {n: t for n, t in tensors.items() if "_ema/" not in n} | dict.fromkeys(heads, ONE)
    state = {n: t for n, t in tensors.items() if "_ema/" in n}
    state |= {n.replace("average", "hidden"): t + 1 for n, t in state.items()}
    state |= {n.replace("average", "counter"): ONE for n in state if n.endswith("average")}
    state["projector/batch_norm/~/mean_ema/average"] = ONE
    return {
        "experiment_state": {
            "online_params": _nested(params),
            "target_params": _nested({name: tensor + 1 for name, tensor in params.items()}),
            "online_state": _nested(state),
            "target_state": _nested({name: tensor + 1 for name, tensor in state.items()}),
            "opt_state": ({}, {"mu": {"classifier": {"w": ONE}}}, {}),
        },
        "step": 312000,
        "rng": torch.tensor([0, 1]),
    }


def _nested(tensors: Tensors) -> dict[str, Tensors]:
    nested: dict[str, Tensors] = {}
    for name, tensor in tensors.items():
        module, _, value = name.rpartition("/")
        nested.setdefault(module, {})[value] = tensor
    return nested


def save(content: dict[str, Any], folder: Path) -> Path:
    """The pickle: the classes are named after the authors' and Haiku's, arrays are numpy's (protocol 2)."""
    modules = {name: types.ModuleType(name) for name in ("byol", "byol.byol_experiment", *_parents(_HAIKU))}
    state = content["experiment_state"]
    named: Any = collections.namedtuple("_ByolExperimentState", list(state), module="byol.byol_experiment")  # type: ignore[misc]
    modules["byol.byol_experiment"]._ByolExperimentState = named  # type: ignore[attr-defined]
    modules[_HAIKU].FlatMapping = FlatMapping  # type: ignore[attr-defined]
    path = folder / "pretrain_res50x1.pkl"
    with mock.patch.dict(sys.modules, modules), open(path, "wb") as file:
        trees = {name: _with_arrays(tree) for name, tree in state.items()}
        pickle.dump({**_with_arrays(content | {"experiment_state": {}}), "experiment_state": named(**trees)}, file, 2)
    return path


_HAIKU = "haiku._src.data_structures"


class FlatMapping(dict[str, Any]):
    def __reduce__(self) -> Any:
        return FlatMapping, (dict(self),)


FlatMapping.__module__, FlatMapping.__qualname__ = _HAIKU, "FlatMapping"


def _with_arrays(tree: Any) -> Any:
    if isinstance(tree, dict):
        kind = FlatMapping if any(isinstance(value, (dict, torch.Tensor)) for value in tree.values()) else dict
        return kind({name: _with_arrays(value) for name, value in tree.items()})
    if isinstance(tree, tuple):
        return tuple(map(_with_arrays, tree))
    return tree.numpy() if isinstance(tree, torch.Tensor) else tree


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def same(x: torch.Tensor, kernel: int, stride: int, value: float = 0.0) -> torch.Tensor:
    """TensorFlow's SAME: as much padding as gives ceil(n / stride) pixels, the odd pixel after."""
    height, width = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[-2:])
    return F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2), value=value)


def byol_forward(t: Tensors, images: torch.Tensor) -> torch.Tensor:
    """Haiku's ResNet of version 1 (stride in the 3 x 3 convolution) with global average pooling; NCHW."""
    conv = next(name for name in t if "initial_conv" in name).removesuffix("/w")
    root = conv.rpartition("/")[0]
    x = F.relu(_normed(t, conv.replace("conv", "batchnorm"), _convolved(t, conv, images, 2)))
    x = F.max_pool2d(same(x, 3, 2, float("-inf")), 3, 2)
    for group in range(4):
        block = 0
        while (at := f"{root}/block_group_{group}/~/block_{block}/~") + "/conv_0/w" in t:
            strides, y = (1, 2 if group and not block else 1, 1), x
            for i, stride in enumerate(strides):
                y = _normed(t, f"{at}/batchnorm_{i}", _convolved(t, f"{at}/conv_{i}", y, stride))
                y = F.relu(y) if i < 2 else y
            if f"{at}/shortcut_conv/w" in t:
                x = _normed(t, f"{at}/shortcut_batchnorm", _convolved(t, f"{at}/shortcut_conv", x, strides[1]))
            x, block = F.relu(x + y), block + 1
    return x.mean(dim=(2, 3))


def _convolved(t: Tensors, name: str, x: torch.Tensor, stride: int) -> torch.Tensor:
    kernel = t[f"{name}/w"].permute(3, 2, 0, 1)
    return F.conv2d(same(x, kernel.shape[-1], stride), kernel, stride=stride)


def _normed(t: Tensors, name: str, x: torch.Tensor) -> torch.Tensor:
    scale, offset, mean, var = (t[f"{name}/{part}"].reshape(1, -1, 1, 1) for part in _parts())
    return (x - mean) * torch.rsqrt(var + 1e-5) * scale + offset


def _parts() -> tuple[str, ...]:
    return ("scale", "offset", "~/mean_ema/average", "~/var_ema/average")
