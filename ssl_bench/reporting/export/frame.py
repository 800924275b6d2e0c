"""Results as a pandas data frame: one row a record, plain columns."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_bench.paths import results_root
from ssl_bench.reporting.about import About, about
from ssl_bench.reporting.cells import flags
from ssl_bench.results.record import Record
from ssl_bench.results.store import Store, latest

if TYPE_CHECKING:
    import pandas as pd


def results(folder: str | Path | None = None, *, every: bool = False, all_metrics: bool = False) -> pd.DataFrame:
    """The records of a results folder (default: ``SSL_BENCH_RESULTS``, else ``./results/measured``), oldest first.

    One row for each model, task and seed: the newest usual record; ``every``: all records. ``all_metrics``: one row for each
    metric of a record (``metric``, ``value``), its interval only beside the headline. Columns: :func:`row`.
    """
    import pandas as pd

    store = Store(results_root(folder))
    records = store.all() if every else store.latest()
    return pd.DataFrame(rows(records, all_metrics), columns=COLUMNS)


def rows(records: Iterable[Record], all_metrics: bool = False) -> list[dict[str, Any]]:
    """One dictionary of :func:`row` a record, or a metric of it."""
    of_model = cache(about)
    made = []
    for record in records:
        headline = row(record, of_model(record.model))
        made.append(headline)
        if all_metrics:
            bare = dict.fromkeys(("low", "high", "level", "interval"))
            others = [(name, value) for name, value in record.metrics.items() if name != record.primary]
            made += [{**headline, **bare, "metric": name, "value": value} for name, value in others]
    return made


def csv(records: Iterable[Record]) -> str:
    """Every metric of these records as text, the columns as :func:`row`."""
    import pandas as pd

    text: str = pd.DataFrame(rows(records, all_metrics=True), columns=COLUMNS).to_csv(index=False)
    return text


def row(record: Record, model: About) -> dict[str, Any]:
    """``metric`` and ``value``: the headline, in percent where it is a percentage; ``low``, ``high``: its interval of
    ``level`` (0: mean -+ standard deviation) and kind ``interval``. ``marks``: ``stale``, ``partial``, ``custom``,
    ``best_on_test``, separated by spaces; empty for a usual record. ``parameters_m``: millions."""
    interval = record.interval
    return {
        "model": record.model,
        "method": record.method,
        "family": model.method_family,
        "architecture": model.architecture,
        "parameters_m": record.weights.parameters / 1e6 if record.weights.parameters else model.parameters_m,
        "pretrained_on": model.pretrained_on,
        "epochs": model.epochs,
        "licence": model.licence,
        "task": record.task,
        "task_version": record.task_version,
        "protocol": record.protocol,
        "dataset": record.dataset.name,
        "n_train": record.dataset.n_train,
        "n_test": record.dataset.n_test,
        "classes": record.dataset.classes,
        "seed": record.seed,
        "metric": record.primary,
        "value": record.value,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "level": interval.level if interval else None,
        "interval": interval.kind if interval else None,
        "selection": record.selection,
        "marks": " ".join(flags(record)),
        "device": record.compute.device,
        "precision": record.compute.precision,
        "pipeline": record.compute.pipeline,
        "seconds": record.compute.seconds,
        "weights_sha256": record.weights.sha256,
        "version": record.provenance.version,
        "commit": record.provenance.commit,
        "dirty": record.provenance.dirty,
        "created": record.provenance.created,
        "run_id": record.run_id,
    }


COLUMNS = [
    "model",
    "method",
    "family",
    "architecture",
    "parameters_m",
    "pretrained_on",
    "epochs",
    "licence",
    "task",
    "task_version",
    "protocol",
    "dataset",
    "n_train",
    "n_test",
    "classes",
    "seed",
    "metric",
    "value",
    "low",
    "high",
    "level",
    "interval",
    "selection",
    "marks",
    "device",
    "precision",
    "pipeline",
    "seconds",
    "weights_sha256",
    "version",
    "commit",
    "dirty",
    "created",
    "run_id",
]
"""Also of a frame without rows."""


def usual(records: Iterable[Record]) -> tuple[list[Record], int]:
    """Those records that compare with others (complete, of the task's present version and settings), and how many do not."""
    chosen = latest(records)
    kept = [record for record in chosen if not {"stale", "partial", "custom"} & set(flags(record))]
    return kept, len(chosen) - len(kept)
