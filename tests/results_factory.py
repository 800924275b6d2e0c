"""Synthetic records for the tests of results and reporting."""

from __future__ import annotations

from typing import Any

import numpy as np

from ssl_bench.results.record import (
    ComputeFacts,
    DatasetFacts,
    IntervalFacts,
    Provenance,
    Record,
    WeightsFacts,
    identified,
)
from ssl_bench.results.statistics import wilson

PREPROCESS = {"resize": 256, "crop": 224, "interpolation": "bicubic", "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]}


def make_record(
    model: str = "dino_vits16",
    task: str = "knn_digits",
    top1: float = 93.4,
    *,
    n_test: int = 1000,
    minute: int = 0,
    primary: str = "top1",
    **changes: Any,
) -> Record:
    """A record with plausible content; ``minute`` sets when it was created, ``changes`` are fields of the record."""
    protocol, _, dataset = task.partition("_")
    interval = wilson(round(top1 * n_test / 100), n_test) if primary == "top1" else None
    fields: dict[str, Any] = {
        "model": model,
        "task": task,
        "task_version": 1,
        "protocol": protocol,
        "method": model.split("_")[0],
        "dataset": DatasetFacts(
            name=dataset or "digits", fingerprint="f" * 64, n_train=5000, n_test=n_test, classes=10
        ),
        "metrics": {primary: top1},
        "primary": primary,
        "interval": None if interval is None else IntervalFacts(**vars(interval)),
        "settings": {"k": [10, 20], "temperature": 0.07},
        "selection": "fixed",
        "seed": 0,
        "weights": WeightsFacts(source="made up", sha256="a" * 64, matched=10, total=10, parameters=21_000_000),
        "preprocess": PREPROCESS,
        "compute": ComputeFacts(device="cpu", precision="fp32", seconds=1.5),
        "provenance": Provenance(
            version="0.1.0",
            commit="c" * 40,
            dirty=False,
            packages={"torch": "2.6.0", "timm": "1.0.20"},
            python="3.11.2",
            argv=("ssl-bench", "run", "--model", model, "--task", task),
            created=f"2026-01-02T03:{minute:02d}:00.000000+00:00",
        ),
    }
    return identified(Record(**{**fields, **changes}))


def make_predictions(n: int = 100, accuracy: float = 0.9, classes: int = 10, seed: int = 0) -> dict[str, np.ndarray]:
    """Predictions of ``n`` test images, about ``accuracy`` of them right; labels are the same for every seed."""
    rng = np.random.default_rng(seed)
    label = np.arange(n, dtype=np.int64) % classes
    right = rng.random(n) < accuracy
    prediction = np.where(right, label, (label + 1) % classes)
    return {"index": np.arange(n), "label": label, "prediction": prediction, "score": rng.random(n).astype(np.float32)}
