"""What a user may change of a recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from ssl_bench.protocols.finetune.recipe import Feature, Recipe
from ssl_bench.settings import Settings

Rate = Annotated[float, Field(ge=0, lt=1)]


class RecipeSettings(Settings):
    """None: the recipe's value, for this size of model and this data set. See ``recipe.Recipe`` for what each means.

    ``image_size``: side of the images, None: the model's own crop. ``crop_ratio``: test images are resized to
    int(image_size / crop_ratio) and cropped; above 224 pixels the ratio is 1. ``randaugment``: timm's name of a policy, an
    empty text for none. ``evaluate``: the weights, or their moving average if ``ema`` gives its decay. ``sweep_lr``,
    ``sweep_weight_decay``, ``sweep_epochs``: values to choose among on the data set's validation images, or ``held_out`` of
    each class's training images if it has none; the chosen ones are then trained on all. ``with_val``: train on the
    validation images of the data set too.
    """

    epochs: float | None = Field(None, gt=0)
    steps: int | None = Field(None, ge=1)
    batch_size: int | None = Field(None, ge=1)
    forward_batch: int | None = Field(None, ge=1)
    lr: float | None = Field(None, gt=0)
    head_lr: float | None = Field(None, gt=0)
    weight_decay: float | None = Field(None, ge=0)
    warmup_epochs: float | None = Field(None, ge=0)
    layer_decay: float | None = Field(None, gt=0, le=1)
    drop_path: Rate | None = None
    feature: Feature | None = None
    image_size: int | None = Field(None, ge=8)
    crop_ratio: float = Field(0.875, gt=0, le=1)
    crop_scale: tuple[PositiveFloat, PositiveFloat] | None = None
    flip: bool | None = None
    randaugment: str | None = None
    erasing: Rate | None = None
    mixup: float | None = Field(None, ge=0)
    cutmix: float | None = Field(None, ge=0)
    smoothing: Rate | None = None
    repeats: int | None = Field(None, ge=1)
    ema: Rate | None = None
    evaluate: Literal["weights", "average"] = "weights"
    sweep_lr: tuple[PositiveFloat, ...] = ()
    sweep_weight_decay: tuple[float, ...] = ()
    sweep_epochs: tuple[PositiveFloat, ...] = ()
    held_out: float = Field(0.1, gt=0, lt=1)
    with_val: bool = True

    def changes_of(self, recipe: Recipe) -> Recipe:
        """The recipe as the user wants it."""
        given = {name: getattr(self, name) for name in _CHANGES if getattr(self, name) is not None}
        asked = {"lr": self.sweep_lr, "weight_decay": self.sweep_weight_decay, "epochs": self.sweep_epochs}
        made = recipe.changed(**given)
        return made.changed(sweep={**made.sweep, **{name: values for name, values in asked.items() if values}})


_CHANGES = (
    "epochs", "steps", "batch_size", "forward_batch", "lr", "head_lr", "weight_decay", "warmup_epochs", "layer_decay",
    "drop_path", "feature", "crop_scale", "flip", "randaugment", "erasing", "mixup", "cutmix", "smoothing", "repeats", "ema",
)  # fmt: skip
