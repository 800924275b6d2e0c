"""Names of layouts, as the cards use them. One file for each family of methods, each with its own ``LAYOUTS``."""

from __future__ import annotations

from ssl_bench.backbones.layouts import (
    amdim,
    beit,
    captions,
    clip,
    contrastive,
    flip,
    haiku,
    ibot,
    masked,
    multimae,
    negative_free,
    simclr,
    standard,
    swin,
    video_audio,
    vissl,
    xcit,
)
from ssl_bench.backbones.layouts.layout import Layout, Tensors, convert
from ssl_bench.backbones.layouts.match import match
from ssl_bench.errors import UnknownNameError

_FAMILIES = (
    standard,
    clip,
    contrastive,
    negative_free,
    simclr,
    masked,
    swin,
    video_audio,
    vissl,
    ibot,
    xcit,
    beit,
    multimae,
    haiku,
    flip,
    amdim,
    captions,
)

LAYOUTS: dict[str, Layout] = {name: layout for family in _FAMILIES for name, layout in family.LAYOUTS.items()}


def layout_of(name: str) -> Layout:
    if name not in LAYOUTS:
        raise UnknownNameError("layout", name, LAYOUTS)
    return LAYOUTS[name]


__all__ = ["LAYOUTS", "Layout", "Tensors", "convert", "layout_of", "match"]
