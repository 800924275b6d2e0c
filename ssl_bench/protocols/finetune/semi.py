"""Semi-supervised classification: the whole network is fine-tuned on 1 % or 10 % of the labels, by the authors' recipes.

The same on frozen features is ``semi_frozen``; published numbers mix the two.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data import subsets
from ssl_bench.data.dataset import Dataset
from ssl_bench.protocols.finetune import semi_recipes
from ssl_bench.protocols.finetune.recipe import Recipe, size_of
from ssl_bench.protocols.finetune.run import FineTuning, held_out, passes
from ssl_bench.protocols.finetune.settings import RecipeSettings
from ssl_bench.protocols.protocol import Outcome, Protocol

Name = Literal["swav", "simclr", "byol", "barlow", "vicreg", "ijepa"]
RECIPES: dict[Name, Recipe] = {
    "swav": semi_recipes.SWAV,
    "simclr": semi_recipes.SIMCLR,
    "byol": semi_recipes.BYOL,
    "barlow": semi_recipes.BARLOW,
    "vicreg": semi_recipes.VICREG,
    "ijepa": semi_recipes.IJEPA,
}


class SemiSettings(RecipeSettings):
    """``percent`` of the training images of each class, at least one. ``held_out``: share of these that a sweep chooses with;
    BYOL had 10,009 further training images for that."""

    recipe: Name = "swav"
    percent: float = Field(1.0, gt=0, le=100)
    held_out: float = Field(0.2, gt=0, lt=1)


class Semi(Protocol):
    """Metrics as :class:`ssl_bench.protocols.finetune.finetune.FineTune`. ``details``: how many images, and whether they
    are SimCLR's official list or drawn from the seed."""

    name = "semi"
    summary = "Fine-tuning of the whole network on 1 % or 10 % of the labels (SwAV, SimCLR, BYOL, Barlow Twins, VICReg)"
    settings = SemiSettings

    def evaluate(self, backbone: Backbone, dataset: Dataset, settings: SemiSettings, compute: Compute) -> Outcome:
        chosen = labelled(dataset, settings.percent, compute)
        part = dataset.train.subset(chosen.indices)
        part.name = f"{settings.percent:g} % of {dataset.train.name}"
        recipe = chosen_recipe(backbone, settings)
        fit, choose = held_out(part, settings.held_out, compute.seed) if recipe.sweep else (part, part)
        outcome = FineTuning(backbone, recipe, settings, dataset.metric, compute).run(fit, choose, part, dataset.test)
        facts = {"labelled_images": len(part), "subset": chosen.note or chosen.source}
        return replace(outcome, details={**outcome.details, **facts})

    def passes(self, backbone: Backbone, dataset: Dataset, settings: SemiSettings) -> int:
        images = max(len(dataset.classes), round(len(dataset.train) * settings.percent / 100))
        return passes(chosen_recipe(backbone, settings), images, len(dataset.test))


def chosen_recipe(backbone: Backbone, settings: SemiSettings) -> Recipe:
    """By name, size of the model and share of the labels, with the user's changes."""
    stated = RECIPES[settings.recipe].resolved(size_of(backbone), f"{settings.percent:g}")
    return settings.changes_of(stated)


def labelled(dataset: Dataset, percent: float, compute: Compute) -> subsets.Selection:
    """On ImageNet SimCLR's lists, where the data root has them; else drawn from the seed."""
    if dataset.name == "imagenet":
        return subsets.semi(dataset.train, percent, compute.data_root, compute.seed)
    return subsets.Selection(subsets.fraction(dataset.train.labels, percent, compute.seed), "drawn")
