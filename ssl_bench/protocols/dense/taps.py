"""Which maps of a backbone a dense head gets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from ssl_bench.backbones.any_size import accept_any_size
from ssl_bench.backbones.backbone import Backbone
from ssl_bench.errors import SettingsError
from ssl_bench.training.trainable import trainable_copy

Blocks = int | Literal["thirds", "quarters"] | tuple[int, ...]
"""The last n; four blocks by their share of the depth (``spread``); or numbers counted from 0."""


class Taps(nn.Module):
    """(B, 3, H, W) -> the maps (B, D_i, h_i, w_i) of some blocks of a ViT or stages of another network, in their order.

    ``norm``: whether a ViT's final norm is applied to each. ``cls``: the class token is joined to every patch of its block.
    ``channels`` and ``strides`` say D_i and H / h_i; ``staged``: the network's maps have several strides. ``multiple``: images
    whose sides are multiples of it lose no pixels.
    """

    def __init__(self, backbone: Backbone, blocks: Blocks = 1, norm: bool = True, cls: bool = False) -> None:
        super().__init__()
        self.backbone, self.norm, self.cls = backbone, norm, cls
        blank = _blank(backbone)
        with torch.inference_mode():
            ends = [layer.map for layer in backbone.layers_at(blank, [0, backbone.depth - 1])]
        self.staged = ends[0].shape[-1] != ends[1].shape[-1]
        self.numbers = numbers_of(blocks, backbone.depth, self.staged, backbone.name)
        with torch.inference_mode():
            maps = self(blank)
        self.channels = [int(m.shape[1]) for m in maps]
        self.strides = [round(blank.shape[-1] / m.shape[-1]) for m in maps]
        last = round(blank.shape[-1] / ends[1].shape[-1])
        self.multiple = max(32, last) if self.staged else last

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        layers = self.backbone.layers_at(images, self.numbers, self.norm)
        if not self.cls:
            return [layer.map for layer in layers]
        joined = []
        for layer in layers:
            if layer.cls is None:
                raise SettingsError(
                    f"Model {self.backbone.name} has no class token to join to its patches.",
                    "Use --set class_token=false.",
                )
            joined.append(torch.cat([layer.map, layer.cls[:, :, None, None].expand_as(layer.map)], dim=1))
        return joined


def spread(depth: int, how: Literal["thirds", "quarters"]) -> tuple[int, ...]:
    """Four blocks counted from 0. ``thirds``: after 1/3, 1/2, 2/3 and all of the depth, 3 5 7 11 of 12 and 7 11 15 23 of 24
    (BEiT, MAE, iBOT). ``quarters``: 2 5 8 11 of 12, 9 19 29 39 of 40, and 4 11 17 23 of 24 (DPT, DINOv2)."""
    if how == "quarters" and depth == 24:
        return 4, 11, 17, 23
    shares = ((1, 3), (1, 2), (2, 3), (1, 1)) if how == "thirds" else ((1, 4), (1, 2), (3, 4), (1, 1))
    return tuple(-(-depth * above // below) - 1 for above, below in shares)


def numbers_of(blocks: Blocks, depth: int, staged: bool, name: str) -> tuple[int, ...]:
    """Numbers from 0. Networks with stages give their stages where four blocks are asked for by their share."""
    if isinstance(blocks, str):
        return tuple(range(depth)) if staged else spread(depth, blocks)
    numbers = tuple(range(depth - blocks, depth)) if isinstance(blocks, int) else blocks
    if not numbers or min(numbers) < 0 or max(numbers) >= depth:
        raise SettingsError(
            f"Model {name} has {depth} {'stages' if staged else 'blocks'}; blocks={blocks!r} asks for others.",
            "Give how many of the last ones, or their numbers from 0.",
        )
    return numbers


def for_maps(backbone: Backbone, size: int, frozen: bool) -> Backbone:
    """The backbone as a dense protocol may use it: itself, or a copy where it is trained or must be changed to take images of
    any size (``size``: the side of training crops)."""
    copy = backbone if frozen else trainable_copy(backbone)
    return accept_any_size(copy, size, own=not frozen)


def joined_size(maps: Sequence[torch.Tensor]) -> tuple[int, int]:
    """Height and width of the finest map."""
    height, width = max((m.shape[-2:] for m in maps), key=math.prod)
    return int(height), int(width)


def _blank(backbone: Backbone) -> torch.Tensor:
    """One image of the size that the model is evaluated at; where there is none, a size that patches of 14 and 16 divide."""
    side = backbone.preprocess.card.crop or 224
    parameter = next(backbone.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    return torch.zeros(1, 3, side, side, device=device)
