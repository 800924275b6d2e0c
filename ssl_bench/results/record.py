"""The result record, schema 1: everything that a reader needs to trust one number. Written once and never changed."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ssl_bench.cards import Card

SCHEMA = 1


class DatasetFacts(Card):
    """Which images were used."""

    name: str
    fingerprint: str
    n_train: int
    n_test: int
    classes: int
    skipped: tuple[str, ...] = ()
    """Images that could not be read (with ``--skip-broken`` only)."""


class IntervalFacts(Card):
    """Interval of the primary metric."""

    low: float
    high: float
    level: float
    kind: str


class WeightsFacts(Card):
    """Which checkpoint, and how many backbone tensors were matched of how many."""

    source: str
    sha256: str
    matched: int
    total: int


class ComputeFacts(Card):
    """How it was computed."""

    device: str
    precision: str
    world_size: int = 1
    batch_size: int | None = None
    pipeline: str = "exact"
    seconds: float
    images_per_second: float | None = None
    peak_memory_mb: float | None = None


class Provenance(Card):
    """Which code, on which machine's software, by which command, when (UTC, ISO 8601)."""

    version: str
    commit: str | None
    dirty: bool | None
    packages: dict[str, str]
    python: str
    argv: tuple[str, ...]
    created: str


class Record(Card):
    """One (model, task, seed). Percentages are 0 to 100. ``protocol`` and ``method`` name code, ``settings`` all its resolved values."""

    schema_: int = Field(SCHEMA, alias="schema")
    run_id: str
    model: str
    task: str
    task_version: int
    protocol: str
    method: str
    dataset: DatasetFacts
    metrics: dict[str, float]
    primary: str
    interval: IntervalFacts | None = None
    settings: dict[str, Any]
    selection: Literal["fixed", "held_out", "best_on_test"]
    seed: int
    partial: bool = False
    weights: WeightsFacts
    preprocess: dict[str, Any]
    details: dict[str, Any] = {}
    compute: ComputeFacts
    provenance: Provenance

    @property
    def value(self) -> float:
        """The headline number."""
        return self.metrics[self.primary]
