"""Sentences about the classes of a data set: templates and class names from ``prompts/<data set>.yaml``.

Class names are found by the data set's own names of its classes, never by position: the published lists are in another
order than many data sets (VOC 2007, EuroSAT, Pets, CLEVR).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pydantic import Field, field_validator

from ssl_bench.cards import Card
from ssl_bench.errors import DataError, SettingsError
from ssl_bench.yaml_cards import read_card

FOLDER = Path(__file__).parent / "prompts"
PLAIN = "a photo of a {}."
"""CLIP's single template, and the one of data sets without prompts of their own."""


class PromptFile(Card):
    """``classes``: the data set's name of a class -> its name in sentences, or several (their sentences are averaged
    together); a list where both are the same. ``subsets``: further lists of templates. ``datasets``: other data sets
    that the file is for. ``source`` and ``licence``: of these texts."""

    source: str
    licence: str
    datasets: tuple[str, ...] = ()
    templates: tuple[str, ...] = Field(min_length=1)
    subsets: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    classes: dict[str, str | tuple[str, ...]] | tuple[str, ...] = Field(min_length=1)

    @field_validator("templates")
    @classmethod
    def _hold_a_place(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        return checked(templates)

    def names(self) -> dict[str, tuple[str, ...]]:
        """Key (:func:`plain`) of the data set's name -> names in sentences."""
        pairs = self.classes.items() if isinstance(self.classes, dict) else zip(self.classes, self.classes, strict=True)
        return {plain(key): (name,) if isinstance(name, str) else name for key, name in pairs}


def checked(templates: Sequence[str]) -> tuple[str, ...]:
    """The templates, or a :class:`ValueError` for one without a place for the class."""
    wrong = [template for template in templates if template.count("{}") != 1]
    if wrong:
        raise ValueError(f"{wrong[0]!r} must have one {{}}, where the class name goes")
    return tuple(templates)


def plain(name: str) -> str:
    """``apple_pie``, ``Apple pie`` and ``apple-pie`` are one name: letters and digits, in lower case."""
    return re.sub(r"[\W_]+", "", name.casefold())


def find_prompts(dataset: str, given: str | None = None) -> PromptFile | None:
    """``given``: the path of a file, or the data set whose file is meant; None: that of ``dataset``, if there is one."""
    if given is None:
        return _shipped().get(dataset)
    if given in _shipped():
        return _shipped()[given]
    if Path(given).suffix in {".yaml", ".yml"}:
        return read_card(PromptFile, Path(given))
    raise SettingsError(
        f"prompts = {given!r}: is no data set with prompts and no .yaml file.", f"There are: {', '.join(shipped())}"
    )


def shipped() -> tuple[str, ...]:
    """Data sets with prompts."""
    return tuple(sorted(_shipped()))


def sentences(
    classes: Sequence[str], dataset: str, prompts: PromptFile | None, templates: Sequence[str]
) -> list[list[str]]:
    """All sentences of each class, in the order of ``classes``: every name in every template.

    Without ``prompts`` the data set's own names are taken, with blanks for ``_`` and ``/``.
    """
    if prompts is None:
        names: list[tuple[str, ...]] = [(re.sub(r"[_/\s]+", " ", name).strip(),) for name in classes]
    else:
        known = prompts.names()
        missing = [name for name in classes if plain(name) not in known]
        if missing:
            raise DataError(
                f"Data set {dataset}: the prompts have no class {', '.join(missing[:5])} "
                f"({len(missing)} of {len(classes)} are missing).",
                "Classes of the data set must have the original names; or give prompts of your own: "
                "--set prompts=FILE.yaml",
            )
        names = [known[plain(name)] for name in classes]
    return [[template.replace("{}", name) for template in templates for name in each] for each in names]


@cache
def _shipped() -> dict[str, PromptFile]:
    files = {path.stem: read_card(PromptFile, path) for path in sorted(FOLDER.glob("*.yaml"))}
    return {name: file for stem, file in files.items() for name in (stem, *file.datasets)}
