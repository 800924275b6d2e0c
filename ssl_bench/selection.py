"""Names as users write them (comma lists, globs, groups, KEY=VALUE) -> cards and settings."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import yaml

from ssl_bench.cards import TaskCard
from ssl_bench.errors import SettingsError, UnknownNameError
from ssl_bench.registry import Registry

GROUPS = ("core", "frozen", "transfer", "dense", "zero_shot", "all")


def split_names(given: Iterable[str]) -> list[str]:
    """``["a,b", "c"]`` -> ``["a", "b", "c"]``."""
    return [name.strip() for item in given for name in item.split(",") if name.strip()]


def select_models(given: Iterable[str], known: Registry) -> list[str]:
    """Model names in the order given, without repeats; every one exists."""
    chosen: list[str] = []
    for name in split_names(given):
        if is_pattern(name):
            matched = [model for model in known.models if fnmatchcase(model, name)]
            if not matched:
                raise UnknownNameError("model", name, known.models)
            chosen += matched
        else:
            known.model(name)
            chosen.append(name)
    return list(dict.fromkeys(chosen))


def select_tasks(given: Iterable[str], known: Registry) -> list[TaskCard]:
    """Task cards in the order given, without repeats; groups and globs are expanded."""
    chosen: dict[str, TaskCard] = {}
    for name in split_names(given):
        if name in GROUPS:
            matched = [task for task in known.tasks if name == "all" or name in known.tasks.get(task).groups]
        elif is_pattern(name):
            matched = [task for task in known.tasks if fnmatchcase(task, name)]
        else:
            matched = [name]
        if not matched:
            raise UnknownNameError("task", name, [*known.tasks, *GROUPS])
        for task in matched:
            chosen[task] = known.task(task)
    return list(chosen.values())


def is_pattern(name: str) -> bool:
    """Whether it stands for several names: a glob or a group of tasks."""
    return name in GROUPS or any(character in name for character in "*?[")


def parse_settings(given: Iterable[str]) -> dict[str, Any]:
    """``["k=[10, 20]", "temperature=0.1"]`` -> typed values (YAML scalars and lists)."""
    settings: dict[str, Any] = {}
    for item in given:
        key, separator, value = item.partition("=")
        if not separator or not key.strip():
            raise SettingsError(
                f"--set {item!r} is not KEY=VALUE.", "For example: --set temperature=0.1 --set 'k=[10, 20]'"
            )
        try:
            settings[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise SettingsError(
                f"--set {item!r}: the value is not readable.", "Write a number, a word or a list such as [1, 2]."
            ) from None
    return settings


def settings_for(task: TaskCard, overrides: dict[str, Any], protocols: Iterable[str]) -> dict[str, Any]:
    """The task's settings with the user's on top; ``knn.k`` is for the protocol knn only, ``k`` for all chosen tasks."""
    protocols = set(protocols)
    chosen = dict(task.settings)
    for key, value in overrides.items():
        owner, _, name = key.rpartition(".")
        if owner and owner not in protocols:
            raise SettingsError(
                f"--set {key}: no chosen task has the protocol {owner!r}.", f"Chosen: {', '.join(sorted(protocols))}."
            )
        if not owner or owner == task.protocol:
            chosen[name or key] = value
    return chosen
