"""Linear SVMs on frozen features, one a class (Goyal et al. 2019; VISSL), for images with several labels.

The cost of each class is chosen by cross-validated AP on the training images. With ``shots`` only so many images of each
class are used, in several samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from pydantic import Field, PositiveFloat
from sklearn.utils.parallel import Parallel, delayed

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.geometry import Geometry, seen_as
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.scenes import scenes
from ssl_bench.errors import DataError
from ssl_bench.protocols.metrics.average_precision import Rule, mean_average_precision
from ssl_bench.protocols.protocol import Outcome, Protocol, noting_skipped
from ssl_bench.protocols.transfer.linear_svm import (
    BENCHMARK_COSTS,
    Solver,
    decision,
    fit_class,
    low_shot_rows,
    unit_length,
)
from ssl_bench.protocols.transfer.several import Difficult, Labelled, labelled, learnable
from ssl_bench.results.parts import of_lists
from ssl_bench.results.statistics import spread
from ssl_bench.settings import Settings
from ssl_bench.training.saved import Saved


class SvmSettings(Settings):
    """``costs``: C tried. ``positive_weight``: of an image that has the class, beside 1 of one that has not. ``folds`` of the
    cross-validation. ``rule``: which average precision the test has; ``difficult``: see ``transfer.several``. ``shots``:
    images with the class (None: all), in ``samples`` draws. ``geometry``, ``embedding``: what the images become."""

    costs: tuple[PositiveFloat, ...] = Field(BENCHMARK_COSTS, min_length=1)
    positive_weight: float = Field(2.0, gt=0)
    tolerance: float = Field(1e-4, gt=0)
    max_iterations: int = Field(2000, ge=1)
    folds: int = Field(3, ge=2)
    rule: Rule = "area"
    difficult: Difficult = "exclude"
    shots: int | None = Field(None, ge=1)
    samples: int = Field(5, ge=1)
    geometry: Geometry = "model"
    embedding: str = "default"


class Svm(Protocol):
    """Metrics in percent: ``map``, the mean over classes of the AP; with ``shots`` the mean over samples, and ``map_std``."""

    name = "svm"
    summary = "One linear SVM a class on frozen features, cost by cross-validation, mean AP (Goyal et al. 2019)"
    settings = SvmSettings

    def evaluate(self, backbone: Backbone, dataset: Dataset, settings: SvmSettings, compute: Compute) -> Outcome:
        view = seen_as(backbone, settings.geometry)
        splits = scenes(dataset, "present")
        train, test = (
            labelled(view, splits[name], compute, settings.embedding, settings.difficult) for name in ("train", "test")
        )
        key = {
            "weights": backbone.weights.sha256 if backbone.weights else None,
            "definition": backbone.definition,
            "preprocess": view.preprocess.card.model_dump(mode="json"),
            "images": dataset.fingerprint,
            "settings": settings.model_dump(mode="json"),
            "seed": compute.seed,
            "how": [compute.precision, compute.pipeline],
        }
        saved = Saved(compute, "svm", key)
        rate = score if settings.shots is None else score_low_shot
        outcome = rate(train, test, dataset.classes, settings, compute, saved)
        outcome.details["preprocess"] = key["preprocess"]
        saved.remove()
        return noting_skipped(outcome, train.features, test.features)


def score(
    train: Labelled, test: Labelled, classes: tuple[str, ...], settings: SvmSettings, compute: Compute, saved: Saved
) -> Outcome:
    """Train each class on all images. A finished class is kept on the disk; ``compute.workers`` classes are trained at once."""
    chosen, left_out = learnable(train.present, classes, settings.folds)
    x, positive = unit_length(train.x), train.present[:, chosen] == 1
    ap, weights, converged = _resumed(saved, len(settings.costs), x.shape[1])
    todo = range(len(ap), len(chosen))
    jobs = (
        delayed(fit_class)(x, positive[:, c], settings.costs, settings.folds, solver_of(settings, compute))
        for c in todo
    )
    with compute.progress.bar("SVMs of classes", len(chosen)) as advance:
        advance(len(ap))
        for fitted in Parallel(n_jobs=max(1, compute.workers), return_as="generator")(jobs):
            ap, weights = np.vstack([ap, fitted.ap]), np.vstack([weights, fitted.weights])
            converged = np.append(converged, fitted.converged)
            saved.save({name: torch.from_numpy(a) for name, a in zip(STATE, (ap, weights, converged), strict=True)})
            advance()
    scores, truth = decision(test.x, weights), test.present[:, chosen]
    mean, each = mean_average_precision(truth, scores, settings.rule)
    names = [classes[c] for c in chosen]
    details = _details(names, each, left_out)
    details["unconverged_classes"] = [name for name, good in zip(names, converged, strict=True) if not good]
    if len(settings.costs) > 1:
        details["costs"] = {n: settings.costs[i] for n, i in zip(names, ap.argmax(1), strict=True)}
        details["cross_validated_ap"] = {n: (100 * row).round(4).tolist() for n, row in zip(names, ap, strict=True)}
    parts = of_lists(truth, scores, settings.rule, test.features.index)
    return Outcome(
        {"map": 100 * mean},
        primary="map",
        selection="held_out" if len(settings.costs) > 1 else "fixed",
        interval=parts.interval(),
        details=details,
        parts=parts,
    )


def score_low_shot(
    train: Labelled, test: Labelled, classes: tuple[str, ...], settings: SvmSettings, compute: Compute, saved: Saved
) -> Outcome:
    """``settings.shots`` images with each class. As the benchmark's scripts do, one cost serves all classes and samples: the
    one with the best mean on the TEST images, which the outcome says (``best_on_test``); give one cost to choose none."""
    shots = settings.shots
    assert shots is not None
    count = (train.present == 1).sum(0)
    few = [f"{name} ({n})" for name, n in zip(classes, count, strict=True) if n < shots]
    if few:
        raise DataError(f"There are fewer than {shots} training images with {', '.join(few[:5])}.", "Use fewer shots.")
    chosen, left_out = learnable(train.present, classes)
    x, truth = unit_length(train.x), test.present[:, chosen]
    solver = solver_of(settings, compute)
    state = saved.load()
    found = np.zeros((0, len(settings.costs))) if state is None else state["map"].cpu().numpy()
    with compute.progress.bar(f"SVMs of {shots} images a class", settings.samples) as advance:
        advance(len(found))
        for sample in range(len(found), settings.samples):
            rows = [
                low_shot_rows(
                    train.present[:, c], shots, len(classes), np.random.RandomState([compute.seed, sample, c])
                )
                for c in chosen
            ]
            line = []
            for cost in settings.costs:
                fits = [solver.fit(x[r], train.present[r, c] == 1, cost)[0] for r, c in zip(rows, chosen, strict=True)]
                line.append(mean_average_precision(truth, decision(test.x, np.stack(fits)), settings.rule)[0])
            found = np.vstack([found, line])
            saved.save({"map": torch.from_numpy(found)})
            advance()
    best = int(found.mean(0).argmax())
    values = (100 * found[:, best]).tolist()
    interval = spread(values)
    details: dict[str, Any] = {"cost": settings.costs[best], "map_per_sample": values, "classes_left_out": left_out}
    details["map_per_cost"] = {
        f"{c:.4g}": round(100 * float(v), 4) for c, v in zip(settings.costs, found.mean(0), strict=True)
    }
    return Outcome(
        {"map": float(np.mean(values)), "map_std": (interval.high - interval.low) / 2},
        primary="map",
        selection="best_on_test" if len(settings.costs) > 1 else "fixed",
        interval=interval,
        details=details,
    )


STATE = ("ap", "weights", "converged")


def _resumed(saved: Saved, costs: int, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cross-validated AP (classes, costs), weights (classes, D + 1), whether each converged: of the finished classes."""
    state = saved.load()
    if state is None:
        return np.zeros((0, costs)), np.zeros((0, dim + 1)), np.zeros(0, dtype=bool)
    ap, weights, converged = (state[name].cpu().numpy() for name in STATE)
    return ap, weights, converged


def solver_of(settings: SvmSettings, compute: Compute) -> Solver:
    return Solver(settings.positive_weight, settings.tolerance, settings.max_iterations, compute.seed)


def _details(names: list[str], each: np.ndarray, left_out: list[str]) -> dict[str, Any]:
    details: dict[str, Any] = {"ap": {n: round(100 * float(v), 4) for n, v in zip(names, each, strict=True) if v == v}}
    if left_out:
        details["classes_left_out"] = left_out
    return details
