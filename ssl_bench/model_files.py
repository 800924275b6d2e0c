"""Files of ``model_zoo/`` (and the user's own cards): models and recipes with the file's defaults filled in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ssl_bench.cards import ModelCard, ModelFile, RecipeCard
from ssl_bench.errors import CardError, UnknownNameError
from ssl_bench.yaml_cards import read_card, validate

PRESETS: dict[str, dict[str, Any]] = {
    "imagenet_bicubic": {"resize": 256, "crop": 224, "interpolation": "bicubic"},
    "imagenet_bilinear": {"resize": 256, "crop": 224, "interpolation": "bilinear"},
    "clip": {
        "resize": 224,
        "crop": 224,
        "interpolation": "bicubic",
        "mean": [0.48145466, 0.4578275, 0.40821073],
        "std": [0.26862954, 0.26130258, 0.27577711],
    },
    "small32": {"resize": None, "crop": None, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
}
"""What a card's ``preprocess`` may name instead of its fields."""


def looks_like_path(name: str) -> bool:
    """Whether a model name is the path of a card (or of a folder with ``card.yaml``)."""
    return "/" in name or name.endswith((".yaml", ".yml")) or ".yaml:" in name


def model_of_file(reference: str) -> ModelCard:
    """The model of a card's path; ``path:name`` chooses among several."""
    head, _, chosen = reference.partition(".yaml:")
    path = Path(head + ".yaml" if chosen else reference).expanduser()
    if path.is_dir():
        path = path / "card.yaml"
    if not path.is_file():
        raise CardError(
            f"{path}: there is no such card.", "Give the path of a card (YAML) or of a folder that holds card.yaml."
        )
    cards = {card.name: card for card in read_models(path)}
    if chosen:
        if chosen not in cards:
            raise UnknownNameError("model", chosen, cards)
        return cards[chosen]
    if len(cards) != 1:
        raise CardError(f"{path} has {len(cards)} models: {', '.join(cards)}.", f"Say which one: {path}:NAME")
    return next(iter(cards.values()))


def read_models(path: Path) -> list[ModelCard]:
    """The models of a file, with its defaults filled in."""
    file = read_card(ModelFile, path)
    cards = []
    for name, fields in file.models.items():
        merged: dict[str, Any] = {"name": name, "method": file.method, "paper": file.paper, "licence": file.licence}
        merged |= {**file.defaults, **fields, "folder": path.parent.resolve()}
        merged["preprocess"] = _preprocess(merged.get("preprocess"), path)
        cards.append(validate(ModelCard, {k: v for k, v in merged.items() if v is not None}, path, ("models", name)))
    return cards


def read_recipes(path: Path) -> list[RecipeCard]:
    """The recipes of a file."""
    file = read_card(ModelFile, path)
    recipes = []
    for name, fields in file.recipes.items():
        merged = {"name": name, "method": file.method, "paper": file.paper, **fields}
        merged["preprocess"] = _preprocess(merged.get("preprocess"), path)
        recipes.append(
            validate(RecipeCard, {k: v for k, v in merged.items() if v is not None}, path, ("recipes", name))
        )
    return recipes


def _preprocess(given: Any, path: Path) -> Any:
    """A preset's name stands for its fields; ``{preset: name, resize: 248}`` changes some of them."""
    if isinstance(given, str):
        given = {"preset": given}
    if isinstance(given, dict) and "preset" in given:
        rest = {k: v for k, v in given.items() if k != "preset"}
        if given["preset"] not in PRESETS:
            raise CardError(f"{path}: {UnknownNameError('preprocess preset', given['preset'], PRESETS)}")
        return {**PRESETS[given["preset"]], **rest}
    return given
