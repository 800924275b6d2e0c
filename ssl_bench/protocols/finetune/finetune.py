"""Fine-tuning: the whole network is trained on the labels of a data set, by the authors' recipes."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset, Split
from ssl_bench.data.joined import JoinedSplit
from ssl_bench.protocols.finetune import imagenet_recipes, transfer_recipes
from ssl_bench.protocols.finetune.recipe import Recipe, size_of
from ssl_bench.protocols.finetune.run import FineTuning, held_out, passes
from ssl_bench.protocols.finetune.settings import RecipeSettings
from ssl_bench.protocols.protocol import Outcome, Protocol

Name = Literal[
    "mae", "beit", "beit_22k", "mocov3", "ibot", "ijepa", "msn", "deit", "msn_transfer", "mocov3_transfer", "byol_20k"
]
RECIPES: dict[Name, Recipe] = {
    "mae": imagenet_recipes.MAE,
    "beit": imagenet_recipes.BEIT,
    "beit_22k": imagenet_recipes.BEIT_22K,
    "mocov3": transfer_recipes.MOCOV3,
    "ibot": imagenet_recipes.IBOT,
    "ijepa": imagenet_recipes.IJEPA,
    "msn": imagenet_recipes.MSN,
    "deit": transfer_recipes.DEIT,
    "msn_transfer": transfer_recipes.MSN_TRANSFER,
    "mocov3_transfer": transfer_recipes.MOCOV3_TRANSFER,
    "byol_20k": transfer_recipes.BYOL_20K,
}
ON_IMAGENET: dict[str, Name] = {
    "beit": "beit",
    "dino": "deit",
    "ibot": "ibot",
    "ijepa": "ijepa",
    "mocov3": "mocov3",
    "msn": "msn",
    "supervised": "deit",
}
"""Method -> its authors' recipe; for all others MAE's."""
ELSEWHERE: dict[str, Name] = {
    "byol": "byol_20k",
    "mocov3": "mocov3_transfer",
    "msn": "msn_transfer",
    "simclr": "byol_20k",
}
"""The same on other data sets; for all others DeiT's."""


class FineTuneSettings(RecipeSettings):
    """``recipe``: ``authors`` is the one that the authors of the model's method use on ImageNet or elsewhere."""

    recipe: Name | Literal["authors"] = "authors"


class FineTune(Protocol):
    """Metrics in percent, after the last epoch: ``top1``, ``top5`` (more than five classes), ``mean_per_class``; with a
    moving average of the weights also ``top1_average`` and so on."""

    name = "finetune"
    summary = "Fine-tuning of the whole network by the authors' recipes (MAE, BEiT, DeiT transfer, BYOL's sweep ...)"
    settings = FineTuneSettings

    def evaluate(self, backbone: Backbone, dataset: Dataset, settings: FineTuneSettings, compute: Compute) -> Outcome:
        name, recipe = chosen_recipe(backbone, dataset, settings)
        fit, choose = _to_choose(dataset, settings, compute) if recipe.sweep else (dataset.train, dataset.train)
        everything = _everything(dataset) if settings.with_val else dataset.train
        outcome = FineTuning(backbone, recipe, settings, dataset.metric, compute).run(
            fit, choose, everything, dataset.test
        )
        return replace(outcome, details={"recipe_name": name, **outcome.details})

    def passes(self, backbone: Backbone, dataset: Dataset, settings: FineTuneSettings) -> int:
        recipe = chosen_recipe(backbone, dataset, settings)[1]
        return passes(recipe, len(_everything(dataset) if settings.with_val else dataset.train), len(dataset.test))


def chosen_recipe(backbone: Backbone, dataset: Dataset, settings: FineTuneSettings) -> tuple[Name, Recipe]:
    """By name, size of the model and data set, with the user's changes."""
    name = authors_recipe(backbone.name, dataset.name) if settings.recipe == "authors" else settings.recipe
    return name, settings.changes_of(RECIPES[name].resolved(size_of(backbone), dataset.name))


def authors_recipe(model: str, dataset: str) -> Name:
    """Of a model named ``<method>_<arch>``."""
    method = model.partition("_")[0]
    return ON_IMAGENET.get(method, "mae") if dataset == "imagenet" else ELSEWHERE.get(method, "deit")


def _to_choose(dataset: Dataset, settings: FineTuneSettings, compute: Compute) -> tuple[Split, Split]:
    """The official validation images, if they are not the test; else a part of the training images."""
    if dataset.val is not None and dataset.val.fingerprint != dataset.test.fingerprint:
        return dataset.train, dataset.val
    return held_out(dataset.train, settings.held_out, compute.seed)


def _everything(dataset: Dataset) -> Split:
    """Training and validation images; never a validation part that is the test."""
    if dataset.val is None or dataset.val.fingerprint == dataset.test.fingerprint:
        return dataset.train
    return JoinedSplit(dataset.train, dataset.val)
