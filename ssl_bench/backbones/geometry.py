"""The same model seeing images cut in another way: size and crop of a task instead of the model's own."""

from __future__ import annotations

import copy
from typing import Any, Literal

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.cards import PreprocessCard
from ssl_bench.data.transforms import Preprocess

Geometry = Literal["model", "suite", "squash"]
"""``model``: the model's own. ``suite``: shorter side to the model's input size, bicubic, central square (Resize 224, crop
224: SimCLR B.8 and BYOL D). ``squash``: both sides to the input size, bilinear, nothing cut off (VISSL's VOC07)."""


def seen_as(backbone: Backbone, geometry: Geometry) -> Backbone:
    """``backbone`` with this geometry and its own colours and weights, which are shared, not copied.

    A model without an input size (it takes images as they are) and one with a transform of its own keep theirs.
    """
    card = getattr(backbone.preprocess, "card", None)
    if geometry == "model" or type(backbone.preprocess) is not Preprocess or not isinstance(card, PreprocessCard):
        return backbone
    side = card.crop or (card.resize if card.squash else None)
    if side is None:
        return backbone
    changes: dict[str, Any] = {"resize": side, "crop": side, "squash": geometry == "squash", "crop_first": None}
    changes["interpolation"] = "bilinear" if geometry == "squash" else "bicubic"
    view = copy.copy(backbone)
    view.preprocess = Preprocess(card.model_copy(update=changes))
    return view
