"""What dense and training-free protocols rely on: layers, pyramid, attention; and the text tower of zero-shot evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from ssl_bench.backbones.backbone import Backbone, Layer
from ssl_bench.backbones.pyramid import STRIDES
from ssl_bench.backbones.texts import text_tower
from ssl_bench.conformance.attempt import BATCH_TOLERANCE, Broken, NotOffered, Size, apart, ask, tensor
from ssl_bench.conformance.vectors import resize

SUM_TOLERANCE = 1e-3


def layers(backbone: Backbone, images: torch.Tensor, size: Size) -> str:
    """Number, order, sizes and widths of ``layers``, and that ``layers_at`` agrees with it."""
    shown = images[:2]
    last = ask(lambda: backbone.layers(shown))
    depth = backbone.depth
    if not isinstance(depth, int) or depth < 1:
        raise Broken(f"depth is {depth!r}, not the number of blocks")
    every = backbone.layers(shown, depth)
    for what, found, count in (("layers(images)", last, 1), (f"layers(images, {depth})", every, depth)):
        if len(found) != count:
            raise Broken(f"{what} gives {len(found)} layers, not the last {count}")
    for number, layer in enumerate(every):
        _layer(layer, number, size)
    _same(last[0], every[-1], "the last of all layers is not the one that layers(images) gives: network order?")
    ends = backbone.layers_at(shown, [0, depth - 1])
    if len(ends) != 2:
        raise Broken(f"layers_at(images, [0, {depth - 1}]) gives {len(ends)} layers")
    _same(ends[0], every[0], "layers_at(images, [0, ...]) is not the first of all layers: numbers count from 0")
    alone = torch.cat([backbone.layers(one[None])[0].map for one in shown])
    _alone(last[0].map, alone, "the last layer's maps")
    cls = "" if last[0].cls is None else " and a class token"
    return f"{depth}, the last {tuple(last[0].map.shape[1:])}{cls}"


def _layer(layer: Layer, number: int, size: Size) -> None:
    what = f"layers: block {number}"
    maps = tensor(layer.map, f"{what}: map", (2, None, None, None))
    _, width, rows, columns = maps.shape
    if not any(
        _divided(size.height, rows, stride) and _divided(size.width, columns, stride)
        for stride in range(1, 1 + size.width)
    ):
        raise Broken(
            f"{what}: map of a {size} image is {rows} x {columns}, which no stride gives: rows and columns swapped?"
        )
    if layer.cls is not None:
        tensor(layer.cls, f"{what}: class token", (2, width), f": as wide as its map {tuple(maps.shape)}")


def _divided(length: int, parts: int, stride: int) -> bool:
    return parts in {length // stride, math.ceil(length / stride)}


def _same(one: Layer, other: Layer, why: str) -> None:
    if one.map.shape != other.map.shape or apart(one.map, other.map) > BATCH_TOLERANCE:
        raise Broken(why)


def _alone(together: torch.Tensor, alone: torch.Tensor, what: str) -> None:
    if together.shape != alone.shape or (far := apart(together, alone)) > BATCH_TOLERANCE:
        said = (
            f"shapes {tuple(together.shape)} and {tuple(alone.shape)}"
            if together.shape != alone.shape
            else f"{far:.1e}"
        )
        raise Broken(f"{what} depend on the batch ({said}): batch norm in training mode?")


def pyramid(backbone: Backbone, images: torch.Tensor, size: Size) -> str:
    """Four levels at strides 4, 8, 16 and 32."""
    shown = images[:2]
    levels = ask(lambda: backbone.pyramid(shown))
    widths = _levels(levels, size)
    _alone(levels[-1], torch.cat([backbone.pyramid(one[None])[-1] for one in shown]), "the pyramid's maps")
    return f"{widths} channels"


def _levels(levels: Sequence[object], size: Size) -> list[int]:
    if len(levels) != len(STRIDES):
        raise Broken(f"pyramid: {len(levels)} levels, not one for each of the strides 4, 8, 16 and 32")
    return [_level(level, number, size) for number, level in enumerate(levels)]


def _level(level: object, number: int, size: Size) -> int:
    stride = STRIDES[number]
    what = f"pyramid: level {number}"
    if isinstance(level, torch.Tensor) and level.ndim == 4:
        rows, columns = (math.ceil(length / stride) for length in (size.height, size.width))
        fits = _divided(size.height, level.shape[2], stride) and _divided(size.width, level.shape[3], stride)
        if not fits:
            shape = f"(B, {', '.join(map(str, level.shape[1:]))})"
            raise Broken(f"{what} is {shape}, stride {stride} of a {size} image is {rows} x {columns}")
    return tensor(level, what, (2, None, None, None)).shape[1]


def attention(backbone: Backbone, images: torch.Tensor, size: Size) -> str:
    """A share of one for each patch: not negative, a sum of at most 1 a head, on the grid of the last layer."""
    found = tensor(ask(lambda: backbone.attention(images[:2])), "attention", (2, None, None, None))
    if float(found.min()) < 0:
        raise Broken(f"attention: the smallest value is {float(found.min()):.3g}, not 0 or more: softmax missing?")
    total = float(found.flatten(2).sum(-1).max())
    if total > 1 + SUM_TOLERANCE:
        raise Broken(f"attention: a head sums to {total:.3g} over the patches, not at most 1")
    grid = _grid(backbone, images[:2])
    if grid is not None and tuple(found.shape[2:]) != grid:
        raise Broken(f"attention: {tuple(found.shape[2:])} patches of a {size} image, but the last layer has {grid}")
    return f"{found.shape[1]} heads"


def _grid(backbone: Backbone, images: torch.Tensor) -> tuple[int, ...] | None:
    try:
        return tuple(ask(lambda: backbone.layers(images))[0].map.shape[2:])
    except NotOffered:
        return None


def last_layer(backbone: Backbone, images: torch.Tensor, size: Size) -> str:
    """The last block's alone, for images of another size."""
    _layer(backbone.layers(images[:2])[0], backbone.depth - 1, size)
    return ""


def levels(backbone: Backbone, images: torch.Tensor, size: Size) -> str:
    """The pyramid alone, for images of another size."""
    return f"{_levels(backbone.pyramid(images[:2]), size)} channels"


Check = Callable[[Backbone, torch.Tensor, Size], str]


def of_other_sizes(check: Check, backbone: Backbone, images: torch.Tensor, sizes: Sequence[Size]) -> str:
    """``check`` on images that are not square, and larger. Any error of the network itself means that it takes none."""
    for size in sizes:
        try:
            check(backbone, resize(images[:2], size), size)
        except Broken:
            raise
        except Exception as error:
            raise NotOffered(f"images of {size} pixels: {str(error).partition(chr(10))[0]}") from error
    return ", ".join(map(str, sizes))


def texts(backbone: Backbone) -> str:
    """Two sentences get two different finite vectors of the length of an image's in their common space."""
    tower = ask(lambda: text_tower(backbone))
    width = backbone.own_embeddings.get(tower.joint, backbone.embed_dim)
    tokens = ask(lambda: tower.tokenizer(["a photo of a disc.", "a photo of two small red squares."]))
    device = next((parameter.device for parameter in backbone.parameters()), torch.device("cpu"))
    vectors = tensor(
        tower.encode_text(tokens.to(device)), "encode_text of 2 texts", (2, width), f": embedding {tower.joint}"
    )
    if apart(vectors[0], vectors[1]) == 0:
        raise Broken("encode_text gives two texts the same vector")
    if not (math.isfinite(tower.logit_scale) and tower.logit_scale > 0):
        raise Broken(f"logit_scale is {tower.logit_scale}, not a positive number")
    return f"{width} values"
