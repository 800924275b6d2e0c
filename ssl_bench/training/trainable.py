"""A backbone that may be trained: a copy, since the frozen one serves the other tasks of the same run."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.training.optim import parameter_groups


def trainable_copy(backbone: Backbone) -> Backbone:
    """The same weights in new memory, with gradients."""
    return copy.deepcopy(backbone).requires_grad_(True)


def groups_of(
    backbone: Backbone | None, head: nn.Module, layer_decay: float = 1.0, head_scale: float = 1.0
) -> list[Any]:
    """Parameter groups for :func:`ssl_bench.training.optim.build_optimizer`: the head at ``head_scale`` times the rate, and
    the backbone (None: frozen) with layer-wise decay::

        rate of block i of L = base x layer_decay^(L - i);  patch embedding layer_decay^(L + 1);  head 1

    (BEiT, MAE util/lr_decay.py). As there, biases, 1-D tensors, class token and position embedding do not decay. A
    network without ``blocks`` has one rate.
    """
    groups = [{**group, "lr_scale": head_scale} for group in parameter_groups(head)]
    if backbone is None:
        return groups
    depth = len(getattr(getattr(backbone, "module", None), "blocks", ()))
    found: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in backbone.named_parameters():
        if parameter.requires_grad:
            plain = parameter.ndim <= 1 or name.endswith((".bias", "cls_token")) or _is_position(name)
            found.setdefault((_layer(name, depth), plain), []).append(parameter)
    for (layer, plain), parameters in sorted(found.items(), key=lambda item: item[0]):
        scale = layer_decay ** (depth + 1 - layer) if depth else 1.0
        group = {"params": parameters, "decay": not plain, "lr_scale": scale}
        groups.append({**group, "weight_decay": 0.0} if plain else group)
    return groups


def _layer(name: str, depth: int) -> int:
    """0: what comes before the blocks; i + 1: block i; ``depth`` + 1: what comes after them."""
    parts = name.split(".")
    if "blocks" in parts:
        return int(parts[parts.index("blocks") + 1]) + 1
    before = ("patch_embed", "cls_token", "mask_token", "reg_token", "norm_pre")
    return 0 if any(part in before for part in parts) or _is_position(name) else depth + 1


def _is_position(name: str) -> bool:
    """Also the tables of video networks, ``pos_embed_spatial`` and so on."""
    return name.rpartition(".")[2].startswith("pos_embed")
