"""The Python interface: what ``import ssl_bench`` offers beside the types."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ssl_bench.backbones.load import load_model
from ssl_bench.compute import Compute, resolve_device
from ssl_bench.data.builders import load_dataset
from ssl_bench.data.features import Features
from ssl_bench.errors import SettingsError
from ssl_bench.methods.load import load_method
from ssl_bench.paths import data_root as default_data_root
from ssl_bench.paths import results_root
from ssl_bench.protocols.protocol import FeatureProtocol, Outcome
from ssl_bench.registry import registry
from ssl_bench.results.record import Record
from ssl_bench.results.store import Store
from ssl_bench.runner import Report, make_plan, run_plan
from ssl_bench.settings import resolve
from ssl_bench.training.loop import train

__all__ = ["evaluate_features", "load_dataset", "load_method", "load_model", "run", "train"]

Arrays = tuple[np.ndarray, np.ndarray]
ON_FEATURES = {"linear": "linear_frozen"}
"""Features cannot be augmented: what a protocol is called by its users -> the form of it that serves features."""


def evaluate_features(
    protocol: str, train: Arrays, test: Arrays, *, compute: Compute | None = None, **settings: Any
) -> Outcome:
    """Score the user's own features: ``train`` and ``test`` are pairs of an (N, D) array and N integer labels.

    ``protocol``: knn, linear (or linear_frozen), low_shot, label_free or any plugin that needs features only. ``settings`` are the
    protocol's, checked. Raises :class:`ssl_bench.errors.SslBenchError` on anything wrong with them or the arrays.
    """
    kind = registry().protocols.get(ON_FEATURES.get(protocol, protocol))
    if not issubclass(kind, FeatureProtocol):
        usable = [name for name in registry().protocols if issubclass(registry().protocols.get(name), FeatureProtocol)]
        raise SettingsError(
            f"Protocol {protocol!r} needs images, not only features.", f"Use one of: {', '.join(usable)}."
        )
    resolved = resolve(kind.settings, settings, protocol)
    labels = np.concatenate([np.asarray(train[1]).ravel(), np.asarray(test[1]).ravel()])
    classes = int(labels.max(initial=0)) + 1 if np.issubdtype(labels.dtype, np.integer) else 0
    bank, queries = Features.of(*train, classes), Features.of(*test, classes)
    protocol_code: FeatureProtocol = kind()
    return protocol_code.evaluate_features(bank, queries, resolved, compute or Compute())


def run(
    models: Sequence[str],
    tasks: Sequence[str],
    *,
    data_root: str | Path | None = None,
    results: str | Path | None = None,
    weights: str | Path | None = None,
    device: str = "auto",
    seeds: Sequence[int] = (0,),
    settings: dict[str, Any] | None = None,
    force: bool = False,
    **compute: Any,
) -> list[Record]:
    """Evaluate every model on every task, as ``ssl-bench run`` does, and return the records (new and found).

    ``compute``: further fields of :class:`ssl_bench.Compute` (precision, batch_size, workers, limit ...). When cells
    fail, the others are finished and saved, then the first failure is raised.
    """
    how = Compute(device=resolve_device(device), data_root=default_data_root(data_root), **compute)
    plan = make_plan(
        models, tasks, how, seeds=seeds, settings=settings, weights=None if weights is None else str(weights)
    )
    report: Report = run_plan(plan, how, Store(results_root(results)), force=force, argv=sys.argv)
    if report.failures:
        raise report.failures[0].error
    return report.records
