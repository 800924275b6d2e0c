"""Run chosen cells: each model on its own tasks, unlike a product of models and tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ssl_bench.compute import Compute
from ssl_bench.data.builders import load_dataset
from ssl_bench.data.dataset import Dataset
from ssl_bench.registry import registry
from ssl_bench.results.store import Store
from ssl_bench.runner import Job, Plan, Report, run_plan
from ssl_bench.settings import resolve


def run_cells(
    cells: Mapping[str, Sequence[str]],
    compute: Compute,
    store: Store,
    *,
    seeds: Sequence[int] = (0,),
    force: bool = False,
    argv: Sequence[str] = (),
) -> Report:
    """Run model -> tasks with the tasks' own settings, and store each record as soon as it is finished."""
    return run_plan(_plan(cells, compute, seeds), compute, store, force=force, argv=argv)


def _plan(cells: Mapping[str, Sequence[str]], compute: Compute, seeds: Sequence[int]) -> Plan:
    known = registry()
    jobs: list[Job] = []
    datasets: dict[str, Dataset] = {}
    for task in dict.fromkeys(task for tasks in cells.values() for task in tasks):
        card = known.task(task)
        kind = known.protocols.get(card.protocol)
        if kind.needs_data and card.dataset not in datasets:
            datasets[card.dataset] = load_dataset(card.dataset, compute.data_root, limit=compute.limit)
        jobs.append(Job(card, kind(), resolve(kind.settings, card.settings, card.protocol), datasets.get(card.dataset)))
    return Plan({model: frozenset(tasks) for model, tasks in cells.items()}, tuple(jobs), tuple(seeds))
