"""AMDIM's encoder (contrastive.md; model.py of the official repository)."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from proofs.proof import Proof, Shapes, Tensors, prefixed, under

_BLOCKS = {2: (4, 2), 3: (4, 2), 4: (2, 2), 6: (3, 1), 7: (3, 1)}
"""Place in the list -> kernel and stride of its first unit."""


def _unit(at: str, channels_in: int, channels: int, kernel: int) -> Shapes:
    return {
        f"{at}.conv1.weight": (channels, channels_in, kernel, kernel),
        f"{at}.conv2.weight": (channels, channels, 1, 1),
    }


def _shapes(width: int, dim: int, depth: int) -> Shapes:
    shapes: Shapes = {
        "layer_list.0.conv.weight": (width, 3, 5, 5),
        "layer_list.0.conv.bias": (width,),
        "layer_list.1.conv.weight": (width, width, 3, 3),
        "layer_list.1.conv.bias": (width,),
    }
    channels = width
    for place, (kernel, stride) in _BLOCKS.items():
        out = channels * stride
        for i in range(depth):
            shapes |= _unit(f"layer_list.{place}.layer_list.{i}", out if i else channels, out, 1 if i else kernel)
        channels = out
    shapes |= _unit("layer_list.8", channels, dim, 3)
    return shapes | {f"layer_list.9.bn.{p}": (dim,) for p in ("weight", "bias", "running_mean", "running_var")}


def _apply(t: Tensors, at: str, x: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    y = F.conv2d(F.relu(F.conv2d(x, t[f"{at}.conv1.weight"], stride=stride)), t[f"{at}.conv2.weight"])
    shortcut = F.avg_pool2d(x, kernel, stride)
    return y + torch.cat([shortcut, shortcut.new_zeros(len(x), y.shape[1] - x.shape[1], *y.shape[2:])], dim=1)


def forward(t: Tensors, images: torch.Tensor) -> torch.Tensor:
    x = F.pad(images, (2, 2, 2, 2), mode="reflect")
    x = F.relu(F.conv2d(x, t["layer_list.0.conv.weight"], t["layer_list.0.conv.bias"], stride=2))
    x = F.relu(F.conv2d(x, t["layer_list.1.conv.weight"], t["layer_list.1.conv.bias"]))
    for place, (kernel, stride) in _BLOCKS.items():
        i = 0
        while (at := f"layer_list.{place}.layer_list.{i}") + ".conv1.weight" in t:
            x, i = _apply(t, at, x, 1 if i else kernel, 1 if i else stride), i + 1
    x = _apply(t, "layer_list.8", x, 3, 1)
    last = {part: t[f"layer_list.9.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")}
    return F.batch_norm(x, *last.values(), eps=1e-5).flatten(1)


def file(use_bn: int = 0) -> Any:
    def content(backbone: Tensors) -> dict[str, Any]:
        """Every unit has a BatchNorm, and so has place 5: in the file, but not applied."""
        units = {name.removesuffix("conv2.weight") for name in backbone if name.endswith("conv2.weight")}
        unused = [
            f"{unit}bn1.bn.{part}" for unit in units for part in ("weight", "bias", "running_mean", "running_var")
        ]
        unused += [f"layer_list.5.bn.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
        heads = [
            f"rkhs_block_{n}.{part}" for n in (5, 7) for part in ("conv1.weight", "bn_out.bn.bias", "shortcut.bias")
        ]
        model = {
            **prefixed("encoder.module.", backbone),
            **under("encoder.module.", *unused, *heads),
            **under("evaluator.", "block_glb_mlp.block_forward.3.weight", "block_glb_lin.block_forward.2.bias"),
        }
        hyperparams = {
            "ndf": 256,
            "n_classes": 1000,
            "n_rkhs": 2048,
            "n_depth": 10,
            "encoder_size": 128,
            "use_bn": use_bn,
        }
        return {"model": model, "hyperparams": hyperparams, "cursor": {"info_epoch": 50, "info_step": 9}}

    return content


def proof(model: str, width: int, dim: int) -> Proof:
    return Proof(
        model=model,
        thin={"width": 2, "dim": 24, "depth": 2},
        shapes=_shapes(2, 24, 2),
        full=_shapes(width, dim, 10),
        file=file(),
        forward=forward,
        image=(3, 128, 128),
    )


PROOFS = [proof("amdim_amdimnet256", 256, 2048), proof("amdim_amdimnet320", 320, 2560)]
