"""The views that a recipe asks for: the method's augmentation with the recipe's changes."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from ssl_bench.cards import RecipeCard
from ssl_bench.errors import SettingsError
from ssl_bench.methods.method import Method
from ssl_bench.methods.parts.views import ViewSpec

GLOBAL_ONLY = ("size", "crop_scale")


def view_specs(method: type[Method], recipe: RecipeCard, settings: Any) -> list[ViewSpec]:
    """``method.augmentation`` with the changes of ``recipe.views``.

    ``{blur: 0, jitter: [...]}`` changes every view, except that size and crop scale leave local views (those smaller
    than ``image_size``, as DINO's) alone; ``{local: {crop_scale: [...]}}`` changes the local ones only.
    Raises :class:`SettingsError` naming a field that views do not have, or a value out of its range.
    """
    specs = method.augmentation(recipe.image_size, settings)
    changes = {key: value for key, value in recipe.views.items() if key != "local"}
    local = {key: value for key, value in changes.items() if key not in GLOBAL_ONLY} | _local(recipe)
    return [_changed(spec, local if spec.size < recipe.image_size else changes, recipe) for spec in specs]


def _local(recipe: RecipeCard) -> dict[str, Any]:
    given = recipe.views.get("local", {})
    if not isinstance(given, dict):
        raise SettingsError(f"Recipe {recipe.name}: views.local is a mapping of view fields, not {given!r}.")
    return given


def _changed(spec: ViewSpec, changes: dict[str, Any], recipe: RecipeCard) -> ViewSpec:
    try:
        return ViewSpec.model_validate({**spec.model_dump(), **changes})
    except ValidationError as error:
        problems = [f"views.{'.'.join(map(str, p['loc']))} = {p['input']!r}: {p['msg']}" for p in error.errors()]
        raise SettingsError(
            f"Recipe {recipe.name}: {'; '.join(problems)}.",
            f"Fields of a view: {', '.join(ViewSpec.model_fields)}, local.",
        ) from None
