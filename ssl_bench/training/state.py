"""Save and resume: one file, replaced in one go, that holds everything a run needs to go on bit by bit."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ssl_bench.cards import RecipeCard
from ssl_bench.compute import rank
from ssl_bench.errors import TrainingError
from ssl_bench.results.atomic import explained, write_file
from ssl_bench.training.plan import Plan

HARMLESS = frozenset({"notes", "paper", "model_name", "checkpoint_every", "online_knn_every"})
"""Fields of a recipe that may change between an interruption and its resumption: they do not touch the weights."""


@contextmanager
def exclusive(out: Path) -> Iterator[None]:
    """Make the folder of a run and keep other runs out of it; :class:`TrainingError` if one is there.

    The system drops the lock when the process ends, however it ends. The other processes of one run share the first's.
    """
    if rank() > 0:
        yield
        return
    with explained(out, "Choose another --out."):
        out.mkdir(parents=True, exist_ok=True)
        lock = open(out / ".lock", "w")  # noqa: SIM115 - closed below, after the run
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(
                f"Another process is training into {out}.", "Wait for it, or choose another --out."
            ) from None
        yield


@dataclass
class Progressed:
    """Where a run is. ``step``: updates done; ``metrics``: the latest values; ``low_epochs``: see the collapse monitor."""

    step: int = 0
    seconds: float = 0.0
    low_epochs: int = 0
    metrics: dict[str, float] = field(default_factory=dict)


def save_state(path: Path, plan: Plan, progressed: Progressed, parts: dict[str, Any]) -> None:
    """``parts``: name -> anything with a ``state_dict``. No random state is kept: every step seeds itself.

    Written beside ``path`` and renamed, so that a kill or a full disk leaves the previous file whole.
    """
    state = {
        "recipe": plan.recipe.model_dump_json(),
        "images": plan.images,
        "processes": plan.processes,
        "progressed": asdict(progressed),
        **{name: part.state_dict() for name, part in parts.items()},
    }
    advice = "The state before it is intact; the same command goes on from there."
    with explained(path, advice):
        write_file(path, lambda file: torch.save(state, file), replace=True)


def load_state(path: Path, plan: Plan, parts: dict[str, Any]) -> Progressed:
    """Put the saved state into ``parts``; a fresh start where there is no file.

    Raises :class:`TrainingError` if the file is damaged or belongs to another recipe, data set or number of processes.
    """
    if not path.exists():
        return Progressed()
    recipe, state = read_state(path)
    found = {"images": state["images"], "processes": state["processes"]}
    _same_run(path, plan, recipe, found)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return Progressed(**state["progressed"])


def read_state(path: Path) -> tuple[RecipeCard, dict[str, Any]]:
    """The recipe of a saved state, and all of it; ``state["method"]`` are the weights of the method, decoder and all."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return RecipeCard.model_validate_json(state["recipe"]), state
    except Exception as error:
        raise TrainingError(
            f"{path}: is not a training state that can be resumed ({type(error).__name__}).",
            "Remove it to start afresh, or choose another --out.",
        ) from error


def _same_run(path: Path, plan: Plan, recipe: RecipeCard, found: dict[str, int]) -> None:
    saved, asked = _flat(recipe.model_dump(exclude=set(HARMLESS))), _flat(plan.recipe.model_dump(exclude=set(HARMLESS)))
    saved |= {f"number of {key}": value for key, value in found.items()}
    asked |= {"number of images": plan.images, "number of processes": plan.processes}
    changed = [
        f"{key}: {saved.get(key)!r} there, {asked.get(key)!r} asked for"
        for key in sorted({*saved, *asked})
        if saved.get(key) != asked.get(key)
    ]
    if changed:
        raise TrainingError(
            f"{path.parent} holds another run. {'; '.join(changed)}.",
            "Choose another --out, or repeat the command with that run's recipe.",
        )


def _flat(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted names; lists as tuples, as JSON does not tell them apart."""
    flat: dict[str, Any] = {}
    for key, value in fields.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = tuple(value) if isinstance(value, list) else value
    return flat
