"""Which models suit which tasks: a task on images is not for a network of video clips or of spectrograms, and one that
reads class names only for networks with a text tower."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ssl_bench.cards import DatasetCard, Modality, TaskCard
from ssl_bench.errors import SettingsError
from ssl_bench.model_words import INPUTS
from ssl_bench.registry import CodeModel, Registry
from ssl_bench.selection import is_pattern, select_models, select_tasks, split_names

READS_TEXTS = frozenset({"zero_shot"})
"""Protocols that need a text tower."""
TEXT_TOWERS = ("open_clip:", "flip")
"""What the names of architectures with a text tower begin with. That of a plugin's own network is seen when it runs."""


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
    reading = {card.name for card in cards if card.protocol in READS_TEXTS}
    mute = {name for name in names if not _may_read(name, known)} if reading else set()
    cells = {
        name: frozenset(t for t in offered if offered[t] == takes[name] and not (name in mute and t in reading))
        for name in names
    }
    named_models = {name for name in split_names(models) if not is_pattern(name)}
    named_tasks = {name for name in split_names(tasks) if not is_pattern(name)}
    wrong: dict[str, list[str]] = defaultdict(list)
    for name in names:
        unsuited = [task for task in offered if task not in cells[name]]
        if name in named_models and unsuited and (not cells[name] or named_tasks & set(unsuited)):
            task = next((task for task in unsuited if task in named_tasks), unsuited[0])
            raise _unsuited([name], takes[name], task, offered[task])
        if any(offered[task] != takes[name] for task in unsuited):
            wrong[f"on data of another kind: {{}}, which take {INPUTS[takes[name]]}"].append(name)
        if any(offered[task] == takes[name] for task in unsuited):
            wrong["of tasks that read class names: {}, which have no text tower"].append(name)
    if not any(cells.values()):
        task = next(iter(offered))
        raise _unsuited(names, takes[names[0]], task, offered[task])
    used = frozenset[str]().union(*cells.values())
    return Choice(
        tuple(card for card in cards if card.name in used),
        {name: cells[name] for name in names if cells[name]},
        tuple(f"Left out {why.format(', '.join(left_out))}." for why, left_out in wrong.items()),
    )


def _may_read(model: str, known: Registry) -> bool:
    """Whether it has a text tower, or is a plugin's code, of which nothing is known yet."""
    entry = known.model(model)
    return isinstance(entry, CodeModel) or entry.arch.startswith(TEXT_TOWERS)


def _taken_by(model: str, known: Registry) -> Modality:
    entry = known.model(model)
    return entry.card.modality if isinstance(entry, CodeModel) else entry.modality


def _offered_by(task: TaskCard, known: Registry) -> Modality:
    """A data set that a plugin's code makes, or that nobody knows, is one of images."""
    named = task.dataset in known.datasets or task.dataset.startswith("imagefolder:")
    data = known.dataset(task.dataset) if named else None
    return data.modality if isinstance(data, DatasetCard) else "image"


def _unsuited(models: Sequence[str], takes: Modality, task: str, offers: Modality) -> SettingsError:
    if takes == offers:
        names = f"Model {models[0]} has" if len(models) == 1 else f"Models {', '.join(models)} have"
        return SettingsError(
            f"{names} no text tower, which {task} needs.", "Choose a model of images and texts, such as clip_vitb16."
        )
    names = f"Model {models[0]} takes" if len(models) == 1 else f"Models {', '.join(models)} take"
    return SettingsError(
        f"{names} {INPUTS[takes]}, but the data of {task} are {INPUTS[offers]}.",
        f"Choose a task on {INPUTS[takes]}, or a model that takes {INPUTS[offers]}.",
    )
