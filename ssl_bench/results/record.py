"""The result record, schema 1: everything that a reader needs to trust one number. Written once and never changed."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from ssl_bench.cards import Card

SCHEMA: Literal[1] = 1


def plain(value: Any) -> Any:
    """``value`` as JSON can hold it: numpy scalars and arrays become numbers and lists, tuples and sets become lists."""
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(item) for item in value)
    return value


Json = Annotated[dict[str, Any], BeforeValidator(plain)]
"""A JSON object with any content."""


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
    parameters: int | None = None
    """Parameters of the backbone."""
    definition: str = ""
    """How the file was read, as JSON: architecture, its arguments, layout, embedding; of a plugin its source's hash."""


class ComputeFacts(Card):
    """How it was computed."""

    device: str
    precision: str
    world_size: int = 1
    batch_size: int | None = None
    pipeline: str = "exact"
    pipeline_deviation: str | None = None
    """How far the pixels may be from the exact pipeline's."""
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
    """One (model, task, seed). Percentages are 0 to 100. ``protocol`` and ``method`` name code, ``settings`` all its resolved values.

    ``run_id`` may be left out: :func:`identified` and ``Store.save`` fill it in. Numbers that are not finite are kept
    (as the strings ``NaN`` and ``Infinity``, since JSON has none).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), ser_json_inf_nan="strings")

    schema_: Literal[1] = Field(SCHEMA, alias="schema")
    run_id: str = ""
    model: str
    task: str
    task_version: int
    protocol: str
    method: str
    dataset: DatasetFacts
    metrics: dict[str, float]
    primary: str
    interval: IntervalFacts | None = None
    settings: Json
    overrides: Json = Field(default_factory=dict)
    """Those settings that the user gave another value than the task has."""
    selection: Literal["fixed", "held_out", "best_on_test"]
    seed: int
    partial: bool = False
    weights: WeightsFacts
    preprocess: Json
    details: Json = Field(default_factory=dict)
    compute: ComputeFacts
    provenance: Provenance

    @property
    def value(self) -> float:
        """The headline number."""
        return self.metrics[self.primary]

    def to_json(self) -> str:
        """The file's text: keys in the order of schema 1, ending with a newline."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"


def identified(record: Record) -> Record:
    """The record with its id, ``YYYYmmddTHHMMSS-<8 hex>``: when it was created, and the hash of everything else in it."""
    created = record.provenance.created
    digits = "".join(c for c in created if c.isdigit())
    return record.model_copy(
        update={"run_id": f"{digits[:8]}T{digits[8:14]}-{content_hash(json.loads(record.to_json()))}"}
    )


def content_hash(content: dict[str, Any]) -> str:
    """First 8 hex digits of the SHA-256 of a record's JSON without its ``run_id``; key order and spaces do not count."""
    rest = {key: value for key, value in content.items() if key != "run_id"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
