"""Settings of segmentation, and what a recipe fills in."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.protocols.dense.recipes import RECIPES, RecipeName
from ssl_bench.protocols.dense.settings import DenseSettings


class SegmentationSettings(DenseSettings):
    """``head``: ``linear``, ``fcn`` (MoCo), ``upernet`` (BEiT, MAE, iBOT; ``width`` channels, None: the backbone's) or
    ``convnext`` (MultiMAE; its vectors have ``width`` numbers, None: 6144). ``recipe``: whose ``lr``, ``layer_decay`` and
    ``drop_path`` by model size stand where they are None. ``rates``: learning rates of which the best on ``held_out``
    training images is taken; then the head is trained on all of them."""

    head: Literal["linear", "fcn", "upernet", "convnext"] = "linear"
    width: int | None = Field(None, ge=16)
    recipe: RecipeName | None = None
    rates: tuple[float, ...] = ()
    held_out: int = Field(0, ge=0)


def filled(settings: SegmentationSettings, backbone: Backbone) -> tuple[SegmentationSettings, dict[str, Any]]:
    """Settings without None for what a recipe says, and facts about it for the record."""
    values: dict[str, Any] = {"lr": 1e-3, "layer_decay": 1.0, "drop_path": 0.0}
    facts: dict[str, Any] = {}
    if settings.recipe is not None:
        recipe = RECIPES[settings.recipe]
        values = dict(vars(recipe.values(backbone)[1]))
        facts = {"recipe": recipe.facts(backbone)}
    missing = {name: value for name, value in values.items() if getattr(settings, name) is None}
    return settings.model_copy(update=missing), facts
