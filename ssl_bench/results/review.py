"""Can a folder of records be published? Integrity, names, versions, ranges, sizes, predictions. Knows no torch, runs no code of
a submission."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ssl_bench._version import __version__
from ssl_bench.cards import DatasetCard, TaskCard
from ssl_bench.errors import SslBenchError, StoreError
from ssl_bench.registry import Registry, registry
from ssl_bench.results.ranges import range_of
from ssl_bench.results.recompute import disagreements
from ssl_bench.results.record import Record, plain
from ssl_bench.results.store import RUN_ID, Store

NO_PREDICTIONS = frozenset({"throughput", "label_free"})
"""Protocols that score no single images."""


@dataclass(frozen=True)
class Problem:
    """``error``: cannot be published so. ``note``: a reviewer should know. ``where``: a file below the folder."""

    kind: Literal["error", "note"]
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}."


@dataclass
class Review:
    """What was read, and what is wrong with it."""

    root: Path
    records: list[Record] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.kind == "error"]

    def add(self, kind: Literal["error", "note"], where: str, found: Iterator[str]) -> None:
        self.problems += [Problem(kind, where, what) for what in found]


def review(
    root: Path, *, complete: bool = True, models: frozenset[str] = frozenset(), declared: frozenset[str] = frozenset()
) -> Review:
    """All records below ``root``.

    ``complete``: what only a published result must be (all images, clean code, the task's own settings, one record a cell) is
    asked too.
    ``models``: names that are known beside the registry's, of submitted cards. ``declared``: run ids of records whose changed
    settings are declared.
    """
    store, known = Store(root), registry()
    found = Review(root, store.all())
    found.problems = [Problem("error", *_damage(root, said)) for said in store.damaged]
    for record in found.records:
        where = place(record, store)
        found.add("error", where, _names(record, store, known, models))
        found.add("error", where, _numbers(record))
        found.add("error", where, _predictions(record, store))
        found.add("error", where, _card_facts(record, known))
        if complete:
            found.add("error", where, _incomplete(record, declared))
        found.add("note", where, _remarks(record, known))
    found.problems += _duplicates(found.records, store) if complete else []
    return found


def place(record: Record, store: Store) -> str:
    """The record's file, below the folder."""
    return str(store.path(record).relative_to(store.root))


def _damage(root: Path, said: str) -> tuple[str, str]:
    """``file: what.`` -> file below the folder, what."""
    file, _, what = said.partition(": ")
    return file.removeprefix(f"{root}/"), what.rstrip(".")


def _names(record: Record, store: Store, known: Registry, models: frozenset[str]) -> Iterator[str]:
    """Model, task and data set are known, and the file is where it belongs under its hash."""
    if not RUN_ID.fullmatch(record.run_id):
        yield f"its run id {record.run_id!r} has no hash of its content"
    if not store.path(record).is_file():
        yield f"it belongs to {record.model} on {record.task}, whose folder is another"
    if record.model not in models:
        try:
            known.model(record.model)
        except SslBenchError:
            yield f"there is no model {record.model!r}"
    card = task_card(record, known)
    if card is None:
        yield f"there is no task {record.task!r}"
    elif (record.protocol, record.dataset.name) != (card.protocol, card.dataset):
        yield f"{record.task} is {card.protocol} on {card.dataset}, not {record.protocol} on {record.dataset.name}"
    elif record.task_version > card.version:
        yield f"version {record.task_version} of {record.task} is unknown (the newest is {card.version})"
    if _version(record.provenance.version) > _version(__version__):
        yield f"version {record.provenance.version} of ssl-bench is unknown (this is {__version__})"


def task_card(record: Record, known: Registry) -> TaskCard | None:
    try:
        return known.task(record.task)
    except SslBenchError:
        return None


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _numbers(record: Record) -> Iterator[str]:
    """Every metric is in its range, and the headline in its interval."""
    if record.primary not in record.metrics:
        yield f"its headline {record.primary!r} is not among its metrics"
        return
    for metric, value in record.metrics.items():
        low, high = range_of(metric)
        if not math.isfinite(value) and metric == record.primary:
            yield f"{metric} is {value}"
        elif not math.isnan(value) and not low <= value <= high:
            yield f"{metric} is {value:.6g}, outside {low:g} to {high:g}"
    interval = record.interval
    if interval is not None and not interval.low - 1e-9 <= record.value <= interval.high + 1e-9:
        yield f"{record.primary} {record.value:.6g} is not in its interval {interval.low:.6g} to {interval.high:.6g}"


def _predictions(record: Record, store: Store) -> Iterator[str]:
    try:
        arrays = store.predictions(record)
    except StoreError as error:
        yield error.message.partition(": ")[2].rstrip(".")
        return
    if arrays is not None:
        try:
            yield from disagreements(record, arrays)
        except (KeyError, ValueError, IndexError, TypeError) as error:
            yield f"its predictions cannot be scored: {type(error).__name__}: {error}"
    elif record.protocol not in NO_PREDICTIONS:
        yield "its predictions are missing"


def _card_facts(record: Record, known: Registry) -> Iterator[str]:
    """Images and classes are those of the data set, settings those of the task: what the record does not call partial or
    changed must be as the cards say."""
    card = task_card(record, known)
    if card is None or card.dataset not in known.datasets:
        return
    data = known.dataset(card.dataset)
    if isinstance(data, DatasetCard) and not record.partial and record.dataset.fingerprint != "not used":
        stated = {"n_train": data.train, "n_test": data.test, "classes": data.classes}
        for name, count in stated.items():
            if count is not None and getattr(record.dataset, name) != count:
                yield f"{name} is {getattr(record.dataset, name)}, but {data.name} has {count}, and it is not marked partial"
    if record.task_version == card.version:
        for name, value in plain(card.settings).items():
            if name not in record.overrides and name in record.settings and not _equal(record.settings[name], value):
                yield f"{name} is {record.settings[name]!r}, but {card.name} has {value!r}, and it is not among its overrides"


def _equal(one: Any, other: Any) -> bool:
    """1 and 1.0 are the same; so are a number and the list of it alone."""
    return bool(one == other or one == [other] or [one] == other)


def _incomplete(record: Record, declared: frozenset[str]) -> Iterator[str]:
    if record.partial:
        yield "it is partial: not all images were used"
    if record.dataset.skipped:
        yield f"{len(record.dataset.skipped)} images were skipped, such as {record.dataset.skipped[0]}"
    if record.provenance.dirty:
        yield "it was measured by a checkout of ssl-bench with uncommitted changes"
    if record.overrides and record.run_id not in declared:
        yield f"settings were changed and not declared: {', '.join(sorted(record.overrides))}"
    if record.weights.matched != record.weights.total:
        yield f"{record.weights.matched} of {record.weights.total} tensors of its weights matched"


def _remarks(record: Record, known: Registry) -> Iterator[str]:
    card = task_card(record, known)
    if card is not None and record.task_version < card.version:
        yield f"it is of version {record.task_version} of {record.task}, which is {card.version} now"
    if record.selection == "best_on_test":
        yield "its hyper-parameters were chosen on the test set"
    if record.overrides:
        yield f"settings were changed: {', '.join(f'{k} = {v}' for k, v in sorted(record.overrides.items()))}"


def _duplicates(records: list[Record], store: Store) -> list[Problem]:
    """Two records of one cell: the same model, task, version, settings, seed, weights, images, precision and pipeline."""
    seen: dict[str, str] = {}
    found = []
    for record in records:
        same = {"run_id", "metrics", "interval", "details", "compute", "provenance", "selection"}
        cell = repr(record.model_dump(exclude=same)) + record.compute.precision + record.compute.pipeline
        if cell in seen:
            found.append(Problem("error", place(record, store), f"the same cell is there already: {seen[cell]}"))
        seen.setdefault(cell, place(record, store))
    return found
