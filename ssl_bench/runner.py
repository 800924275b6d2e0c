"""The plan: (model, task, seed) cells -> what is done already -> run -> store.

Everything that can be wrong with the user's input is found before the first cell runs: names, settings, data. A cell
that fails does not stop the others; what is finished is saved at once.
"""

from __future__ import annotations

import resource
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.load import load_model
from ssl_bench.cards import TaskCard
from ssl_bench.compute import Compute, world_size
from ssl_bench.data import fast
from ssl_bench.data.builders import load_dataset
from ssl_bench.data.check import is_whole
from ssl_bench.data.dataset import Dataset
from ssl_bench.errors import SettingsError, SslBenchError
from ssl_bench.modality import choose
from ssl_bench.protocols.protocol import Outcome, Protocol
from ssl_bench.registry import CodeModel, registry
from ssl_bench.results.provenance import PACKAGES, installed, provenance
from ssl_bench.results.record import ComputeFacts, DatasetFacts, IntervalFacts, Record, WeightsFacts, identified
from ssl_bench.results.store import Store
from ssl_bench.selection import settings_for
from ssl_bench.settings import Settings, resolve


@dataclass(frozen=True)
class Job:
    """A task with its protocol and checked settings; data sets are shared between jobs."""

    task: TaskCard
    protocol: Protocol
    settings: Settings
    dataset: Dataset | None


@dataclass(frozen=True)
class Plan:
    """What will be run: every model with the jobs that suit it (``cells``: model -> names of tasks) and every seed."""

    cells: Mapping[str, frozenset[str]]
    jobs: tuple[Job, ...]
    seeds: tuple[int, ...]
    weights: str | None = None

    def jobs_of(self, model: str) -> list[Job]:
        return [job for job in self.jobs if job.task.name in self.cells[model]]

    def __len__(self) -> int:
        return sum(map(len, self.cells.values())) * len(self.seeds)


@dataclass(frozen=True)
class Failure:
    """A cell that could not be finished. ``trace`` is None when the user's input was wrong: the message says it all."""

    model: str
    task: str
    seed: int
    error: Exception
    trace: str | None


@dataclass
class Report:
    """What a run did: new records, records that were there already, and failures."""

    new: list[Record] = field(default_factory=list)
    found: list[Record] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    @property
    def records(self) -> list[Record]:
        return [*self.found, *self.new]

    @property
    def exit_code(self) -> int:
        """0 all done; 2 nothing could be done because of the input; 1 some cells failed."""
        if not self.failures:
            return 0
        only_input = not self.records and all(isinstance(f.error, SslBenchError) for f in self.failures)
        return 2 if only_input else 1


def make_plan(
    models: Sequence[str],
    tasks: Sequence[str],
    compute: Compute,
    *,
    seeds: Sequence[int] = (0,),
    settings: dict[str, Any] | None = None,
    weights: str | None = None,
) -> Plan:
    """Find and check everything that the run needs; raises :class:`SslBenchError` on the first thing that is wrong."""
    known = registry()
    chosen = choose(models, tasks, known)
    cards = chosen.tasks
    if weights is not None and len(chosen.cells) > 1:
        raise SettingsError(
            f"--weights {weights}: one checkpoint cannot serve {len(chosen.cells)} models.", "Choose one --model."
        )
    if len(set(seeds)) < len(seeds):
        raise SettingsError(f"--seed: {list(seeds)} names a seed twice.")
    chosen_protocols = {card.protocol for card in cards}
    prepared = [(card, known.protocols.get(card.protocol)) for card in cards]
    checked = [
        (card, kind, resolve(kind.settings, settings_for(card, settings or {}, chosen_protocols), f"{card.protocol}"))
        for card, kind in prepared
    ]
    datasets: dict[str, Dataset] = {}
    for card, kind, _ in checked:
        if kind.needs_data and card.dataset not in datasets:
            datasets[card.dataset] = load_dataset(card.dataset, compute.data_root, limit=compute.limit)
    jobs = tuple(Job(card, kind(), resolved, datasets.get(card.dataset)) for card, kind, resolved in checked)
    for note in chosen.notes:
        compute.progress.note(note)
    return Plan(chosen.cells, jobs, tuple(seeds), weights)


def run_plan(plan: Plan, compute: Compute, store: Store, *, force: bool = False, argv: Sequence[str] = ()) -> Report:
    """Run the cells that have no record yet (all of them with ``force``) and store each as soon as it is finished."""
    store.check_writable()
    report = Report()
    with compute.progress.bar("cells", len(plan)) as advance:
        for name in plan.cells:
            for seed in plan.seeds:
                _run_model(name, seed, plan, compute.with_(seed=seed), store, force, argv, report, advance)
    return report


def _run_model(
    name: str,
    seed: int,
    plan: Plan,
    compute: Compute,
    store: Store,
    force: bool,
    argv: Sequence[str],
    report: Report,
    advance: Any,
) -> None:
    """All jobs of one model and seed: the checkpoint is read once."""
    try:
        backbone = _load(name, seed, plan.weights, compute)
    except Exception as error:  # noqa: BLE001 - whatever a model's code raises, the other models must go on
        for job in plan.jobs_of(name):
            report.failures.append(_failure(name, job.task.name, seed, error))
            advance(status=f"{name} failed")
        return
    for job in plan.jobs_of(name):
        try:
            cell = Cell(name, backbone, job, compute)
            done = None if force else cell.find(store)
            if done is not None:
                report.found.append(done)
            else:
                report.new.append(cell.run(store, argv))
        except Exception as error:  # noqa: BLE001 - the other cells must go on; the trace is kept and shown
            report.failures.append(_failure(name, job.task.name, seed, error))
        advance(status=f"{name} {job.task.name}")


def _load(name: str, seed: int, weights: str | None, compute: Compute) -> Backbone:
    return load_model(
        name, weights=weights, device=compute.device, cache=compute.cache, progress=compute.progress, seed=seed
    )


def _failure(model: str, task: str, seed: int, error: Exception) -> Failure:
    trace = None if isinstance(error, SslBenchError) else traceback.format_exc()
    return Failure(model, task, seed, error, trace)


class Cell:
    """One (model, task, seed). ``reference``: the model as the user named it, which may be the path of a card."""

    def __init__(self, reference: str, backbone: Backbone, job: Job, compute: Compute) -> None:
        self.backbone, self.job, self.compute = backbone, job, compute
        self.method = method_of(reference)
        assert backbone.weights is not None, "load_model always reports the weights"
        parameters = sum(parameter.numel() for parameter in backbone.parameters())
        proof = backbone.weights.as_dict()
        self.weights = WeightsFacts(**proof, parameters=parameters, definition=backbone.definition)
        self.preprocess = backbone.preprocess.card.model_dump(mode="json")
        self.settings = job.settings.model_dump(mode="json")

    @property
    def partial(self) -> bool:
        """Not all images were used, or the copy here is a subset: the number does not compare with a published one."""
        return self.compute.limit is not None or not (self.job.dataset is None or is_whole(self.job.dataset))

    @property
    def overrides(self) -> dict[str, Any]:
        """Settings that the user gave another value than the task has."""
        task = self.job.task
        usual = resolve(type(self.job.settings), task.settings, task.protocol).model_dump(mode="json")
        return {key: value for key, value in self.settings.items() if value != usual[key]}

    def dataset_facts(self, skipped: Sequence[str] = ()) -> DatasetFacts:
        data, task = self.job.dataset, self.job.task
        if data is None:
            return DatasetFacts(name=task.dataset, fingerprint="not used", n_train=0, n_test=0, classes=0)
        return DatasetFacts(
            name=data.name,
            fingerprint=data.fingerprint,
            n_train=len(data.train),
            n_test=len(data.test),
            classes=len(data.classes),
            skipped=tuple(skipped),
        )

    def find(self, store: Store) -> Record | None:
        """The record of exactly this cell: same weights, task version, settings, seed, images, precision and pipeline."""
        return store.find(
            model=self.backbone.name,
            task=self.job.task.name,
            task_version=self.job.task.version,
            settings=self.settings,
            seed=self.compute.seed,
            weights_sha256=self.weights.sha256,
            weights_definition=self.weights.definition,
            dataset_fingerprint=self.dataset_facts().fingerprint,
            preprocess=self.preprocess,
            partial=self.partial,
            precision=self.compute.precision,
            pipeline=self.compute.pipeline,
            packages=installed(PACKAGES),
        )

    def run(self, store: Store, argv: Sequence[str]) -> Record:
        """Evaluate, and store the record."""
        self.compute.seed_everything()
        if self.compute.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.compute.device)
        started = time.perf_counter()
        outcome = self.job.protocol.evaluate(self.backbone, self.job.dataset, self.job.settings, self.compute)  # type: ignore[arg-type]
        record = identified(self.record(outcome, time.perf_counter() - started, argv))
        store.save(record, outcome.arrays())
        return record

    def record(self, outcome: Outcome, seconds: float, argv: Sequence[str]) -> Record:
        """The outcome with everything that a reader needs to trust it."""
        task = self.job.task
        details = dict(outcome.details)
        skipped = details.pop("skipped", ())
        return Record(
            schema=1,
            run_id="",
            model=self.backbone.name,
            task=task.name,
            task_version=task.version,
            protocol=task.protocol,
            method=self.method,
            dataset=self.dataset_facts(skipped),
            metrics={key: float(value) for key, value in outcome.metrics.items()},
            primary=outcome.primary,
            interval=None if outcome.interval is None else IntervalFacts(**vars(outcome.interval)),
            settings=self.settings,
            overrides=self.overrides,
            selection=outcome.selection,
            seed=self.compute.seed,
            partial=self.partial,
            weights=self.weights,
            preprocess=self.preprocess,
            details=details,
            compute=self.compute_facts(outcome, seconds),
            provenance=provenance(argv),
        )

    def compute_facts(self, outcome: Outcome, seconds: float) -> ComputeFacts:
        return ComputeFacts(
            device=_device_name(self.compute.device),
            precision=self.compute.precision,
            world_size=world_size(),
            batch_size=self.compute.batch_size,
            pipeline=self.compute.pipeline,
            pipeline_deviation=fast.TOLERANCE if self.compute.pipeline == "fast" else None,
            seconds=round(seconds, 3),
            images_per_second=outcome.metrics.get("images_per_second"),
            peak_memory_mb=_peak_memory_mb(self.compute.device),
        )


def method_of(model: str) -> str:
    """The method that a model's card names."""
    entry = registry().model(model)
    return (entry.card if isinstance(entry, CodeModel) else entry).method


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _peak_memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
