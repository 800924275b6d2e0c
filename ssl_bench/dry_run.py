"""What a run would do, without doing it: which cells are done, what is missing, and about how long the rest takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.load import load_model
from ssl_bench.cards import TaskCard
from ssl_bench.compute import Compute
from ssl_bench.data.builders import load_dataset
from ssl_bench.data.dataset import Dataset
from ssl_bench.errors import SslBenchError
from ssl_bench.modality import choose
from ssl_bench.registry import registry
from ssl_bench.results.store import Store
from ssl_bench.runner import Cell, Job
from ssl_bench.selection import settings_for
from ssl_bench.settings import Settings, resolve


def describe(
    models: Sequence[str],
    tasks: Sequence[str],
    compute: Compute,
    store: Store,
    *,
    seeds: Sequence[int],
    settings: dict[str, Any],
    weights: str | None,
) -> list[dict[str, object]]:
    """One row a cell: model, task, seed, state (done, to run, or what is missing) and the estimated seconds.

    Wrong names and settings are errors, as in a real run; missing data and checkpoints are findings. Nothing is
    downloaded. The estimate times one forward pass here and counts the images that the protocol looks at.
    """
    known = registry()
    plan = choose(models, tasks, known)
    cards = plan.tasks
    for note in plan.notes:
        compute.progress.note(note)
    kinds = {card.name: known.protocols.get(card.protocol) for card in cards}
    chosen = {card.protocol for card in cards}
    resolved = {c.name: resolve(kinds[c.name].settings, settings_for(c, settings, chosen), c.protocol) for c in cards}
    found = {card.dataset: _dataset(card, compute) for card in cards if kinds[card.name].needs_data}
    rows: list[dict[str, object]] = []
    for name, suited in plan.cells.items():
        for seed in seeds:
            backbone = _backbone(name, seed, compute, weights)
            speed = None if isinstance(backbone, str) else _images_per_second(backbone, compute)
            for card in (card for card in cards if card.name in suited):
                data = found.get(card.dataset)
                job = (card, kinds[card.name](), resolved[card.name])
                state, seconds = _state(name, backbone, data, job, compute.with_(seed=seed), store, speed)
                rows.append({"model": name, "task": card.name, "seed": seed, "state": state, "seconds": seconds})
    return rows


def _dataset(card: TaskCard, compute: Compute) -> Dataset | str:
    try:
        return load_dataset(card.dataset, compute.data_root, limit=compute.limit)
    except SslBenchError as error:
        return f"data missing: {error.message}"


def _backbone(name: str, seed: int, compute: Compute, weights: str | None) -> Backbone | str:
    """The model, if its checkpoint is here already."""
    try:
        return load_model(name, weights=weights, device=compute.device, cache=compute.cache, seed=seed, download=False)
    except SslBenchError as error:
        return f"weights missing: {error.message}"


def _state(
    name: str,
    backbone: Backbone | str,
    data: Dataset | str | None,
    job: tuple[TaskCard, Any, Settings],
    compute: Compute,
    store: Store,
    speed: float | None,
) -> tuple[str, int | None]:
    card, protocol, settings = job
    for problem in (backbone, data):
        if isinstance(problem, str):
            return problem, None
    assert isinstance(backbone, Backbone)
    assert not isinstance(data, str)
    cell = Cell(name, backbone, Job(card, protocol, settings, data), compute)
    if cell.find(store) is not None:
        return "done", 0
    if data is None or not speed:
        return "to run", None
    return "to run", round(protocol.passes(backbone, data, settings) / speed)


def _images_per_second(backbone: Backbone, compute: Compute, batch: int = 4) -> float:
    """Speed of one forward pass, after one to warm up; reading images is not counted."""
    card = backbone.preprocess.card
    side = card.crop or card.resize or 32
    images = torch.zeros(batch, 3, side, side, device=compute.device)
    with torch.inference_mode(), compute.autocast():
        backbone(images)
        started = time.perf_counter()
        backbone(images).sum().item()
    return batch / (time.perf_counter() - started)
