"""Which models suit which tasks: a task on images is not for a network of video clips or of spectrograms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ssl_bench.cards import DatasetCard, Modality, TaskCard
from ssl_bench.errors import SettingsError
from ssl_bench.model_words import INPUTS
from ssl_bench.registry import CodeModel, Registry
from ssl_bench.selection import is_pattern, select_models, select_tasks, split_names


@dataclass(frozen=True)
class Choice:
    """``tasks``: those of at least one chosen model, in the order given. ``cells``: model -> names of the tasks that suit
    it, never empty. ``notes``: what was left out, and why."""

    tasks: tuple[TaskCard, ...]
    cells: dict[str, frozenset[str]]
    notes: tuple[str, ...]


def choose(models: Sequence[str], tasks: Sequence[str], known: Registry) -> Choice:
    """Models and tasks as the user writes them -> the cells that make sense.

    A model and a task that are both named must suit each other, and a named model must have a task left; what a glob or
    a group brings in and does not suit is left out with a note. Raises :class:`SettingsError`.
    """
    names, cards = select_models(models, known), select_tasks(tasks, known)
    if not names or not cards:
        raise SettingsError(
            "Nothing to run: no model or no task is chosen.", "Give at least one --model and one --task."
        )
    takes = {name: _taken_by(name, known) for name in names}
    offered = {card.name: _offered_by(card, known) for card in cards}
    cells = {name: frozenset(t for t in offered if offered[t] == takes[name]) for name in names}
    named_models = {name for name in split_names(models) if not is_pattern(name)}
    named_tasks = {name for name in split_names(tasks) if not is_pattern(name)}
    wrong: dict[Modality, list[str]] = defaultdict(list)
    for name in names:
        unsuited = [task for task in offered if task not in cells[name]]
        if name in named_models and unsuited and (not cells[name] or named_tasks & set(unsuited)):
            task = next((task for task in unsuited if task in named_tasks), unsuited[0])
            raise _unsuited([name], takes[name], task, offered[task])
        if unsuited:
            wrong[takes[name]].append(name)
    if not any(cells.values()):
        task = next(iter(offered))
        raise _unsuited(names, takes[names[0]], task, offered[task])
    used = frozenset[str]().union(*cells.values())
    return Choice(
        tuple(card for card in cards if card.name in used),
        {name: cells[name] for name in names if cells[name]},
        tuple(
            f"Left out on data of another kind: {', '.join(m)}, which take {INPUTS[kind]}." for kind, m in wrong.items()
        ),
    )


def _taken_by(model: str, known: Registry) -> Modality:
    entry = known.model(model)
    return entry.card.modality if isinstance(entry, CodeModel) else entry.modality


def _offered_by(task: TaskCard, known: Registry) -> Modality:
    """A data set that a plugin's code makes, or that nobody knows, is one of images."""
    named = task.dataset in known.datasets or task.dataset.startswith("imagefolder:")
    data = known.dataset(task.dataset) if named else None
    return data.modality if isinstance(data, DatasetCard) else "image"


def _unsuited(models: Sequence[str], takes: Modality, task: str, offers: Modality) -> SettingsError:
    names = f"Model {models[0]} takes" if len(models) == 1 else f"Models {', '.join(models)} take"
    return SettingsError(
        f"{names} {INPUTS[takes]}, but the data of {task} are {INPUTS[offers]}.",
        f"Choose a task on {INPUTS[takes]}, or a model that takes {INPUTS[offers]}.",
    )
