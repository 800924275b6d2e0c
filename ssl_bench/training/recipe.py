"""What the user typed after ``train`` -> a complete recipe card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_bench.cards import RecipeCard
from ssl_bench.errors import CardError, SettingsError, UnknownNameError
from ssl_bench.model_files import read_recipes
from ssl_bench.registry import registry
from ssl_bench.yaml_cards import validate

SMALL = {"digits": 32, "placed_digits": 32, "cifar10": 32, "cifar100": 32, "fashion_mnist": 32, "stl10": 96}
"""Sides in pixels of the data sets of small images; all others are trained at 224."""
NESTED = ("optimizer", "views", "arch_args", "preprocess", "settings")
"""Fields of a recipe whose parts are set as ``field.part``."""

SGD = {"name": "sgd", "lr": 0.12, "lr_batch": 256, "momentum": 0.9, "weight_decay": 5e-4}
"""For convolutional networks: works for SimCLR, BYOL and DINO alike on small images."""
ADAMW = {"name": "adamw", "lr": 5e-4, "lr_batch": 256, "weight_decay": 0.05}
DINO_VIT = ADAMW | {"weight_decay": 0.04, "weight_decay_end": 0.4, "clip": 3.0, "clip_mode": "per_tensor"}
MAE = ADAMW | {"lr": 1.5e-4, "betas": [0.9, 0.95]}
SMALL_SETTINGS: dict[str, dict[str, Any]] = {
    "simclr": {"temperature": 0.5, "jitter_strength": 0.5},
    "byol": {"hidden_dim": 512},
    "dino": {"prototypes": 4096, "hidden_dim": 512, "local_crops": 2},
    "mae": {"decoder_dim": 128, "decoder_depth": 2, "decoder_heads": 4},
}
"""Settings for images of at most 32 pixels, where the paper's are for ImageNet (SimCLR: its CIFAR-10 values)."""
TRANSFORMERS = ("vit", "deit", "beit", "swin", "eva", "cait", "xcit")


def resolve(
    name: str | None = None,
    *,
    method: str | None = None,
    arch: str | None = None,
    dataset: str | None = None,
    lr: float | None = None,
    settings: Mapping[str, Any] | None = None,
    **fields: Any,
) -> RecipeCard:
    """The recipe card: a named one (or a card's path, ``path.yaml:name`` if it has several), or, with ``method`` instead,
    defaults for this method, architecture and data set; then changed by what else is given (None: not given).

    ``fields``: fields of :class:`RecipeCard` (epochs, batch_size, precision, seed ...). ``settings``: from ``--set``: a
    field of the recipe, ``optimizer.weight_decay``, ``views.crop_scale``, ``arch_args.x``, ``preprocess.x``, or else a
    setting of the method. With other ``epochs`` the warm-up keeps its share of them. Raises :class:`SslBenchError` for
    unknown names and fields and for values out of range.
    """
    if (name is None) == (method is None):
        raise SettingsError(
            "Give either a recipe or --method, not both or neither.", "`ssl-bench list methods` shows them."
        )
    changes: dict[str, Any] = {"arch": arch, "dataset": dataset, **fields, "optimizer.lr": lr}
    changes = {key: value for key, value in changes.items() if value is not None} | dict(settings or {})
    if name is not None:
        start = find(name).model_dump()
    else:
        start = defaults(str(method), arch, dataset, changes.get("image_size"))
    epochs = changes.get("epochs")
    if isinstance(epochs, int) and epochs > 0:
        start["warmup_epochs"] *= epochs / start["epochs"]
    for key, value in changes.items():
        _set(start, key, value)
    return validate(RecipeCard, start, None)


def find(name: str) -> RecipeCard:
    """A recipe by name, or by the path of a card."""
    head, _, chosen = name.partition(".yaml:")
    path = Path(head + ".yaml" if chosen else name).expanduser()
    if not (chosen or "/" in name or name.endswith((".yaml", ".yml"))):
        return registry().recipes.get(name)
    if not path.is_file():
        raise CardError(
            f"{path}: there is no such card.", "Give the name of a recipe or the path of a card with recipes."
        )
    recipes = {recipe.name: recipe for recipe in read_recipes(path)}
    if chosen or len(recipes) != 1:
        if chosen not in recipes:
            raise UnknownNameError("recipe", chosen or f"{path} (say which: PATH:NAME)", recipes)
        return recipes[chosen]
    return next(iter(recipes.values()))


def defaults(method: str, arch: str | None, dataset: str | None, size: int | None = None) -> dict[str, Any]:
    """A starting point for ``--method``: not a paper's recipe (those are cards), but one that trains."""
    registry().methods.get(method)
    if dataset is None:
        raise SettingsError("--method needs --dataset.", "`ssl-bench list datasets` shows them.")
    size = size if isinstance(size, int) else SMALL.get(dataset, 224)
    arch = arch or _arch(method, size)
    transformer = arch.removeprefix("timm:").startswith(TRANSFORMERS)
    optimizer = {"mae": MAE, "dino": DINO_VIT}.get(method, ADAMW) if transformer else SGD
    return {
        "name": "_".join((method, arch, dataset)).replace(":", "_").replace("/", "_"),
        "method": method,
        "arch": arch,
        "dataset": dataset,
        "image_size": size,
        "preprocess": _preprocess(size),
        "settings": dict(SMALL_SETTINGS.get(method, {})) if size <= 32 else {},
        "augment": "batched" if dataset in SMALL else "pil",
        "views": {"blur": 0.0} if size <= 32 and method != "mae" else {},
        "epochs": 100,
        "warmup_epochs": 10,
        "final_lr": 1e-6 if method == "dino" and transformer else 0.0,
        "batch_size": 256,
        "optimizer": dict(optimizer),
    }


def _arch(method: str, size: int) -> str:
    transformer = method in {"mae", "dino"}
    if size <= 32:
        return "vit_small32" if transformer else "resnet_small32"
    return "vit_small_patch16_224" if transformer else "resnet50"


def _preprocess(size: int) -> dict[str, Any]:
    """ImageNet's resize to 8/7 of the crop; small images whole, at their own size."""
    if size >= 128:
        return {"resize": round(size * 8 / 7), "crop": size}
    return {"resize": size, "crop": size, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}


def _set(recipe: dict[str, Any], key: str, value: Any) -> None:
    first, _, rest = key.partition(".")
    if rest and first in NESTED:
        recipe[first] = {**(recipe.get(first) or {}), rest: value}
    elif key in RecipeCard.model_fields:
        recipe[key] = value
    else:
        recipe["settings"] = {**(recipe.get("settings") or {}), key: value}
