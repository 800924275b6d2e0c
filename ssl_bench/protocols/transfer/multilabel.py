"""Several labels an image on frozen features: one binary logistic regression a class.

Mean average precision (11-point: VOC 2007 in the suites of SimCLR, BYOL and CLIP), and F1 (COCO in the tables of VoLTA and
MCT) for the labels with probability above 1/2 and for the top three. One L2 strength for all classes, chosen as in
``transfer``, by the primary metric.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.geometry import seen_as
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.scenes import scenes
from ssl_bench.protocols.metrics.average_precision import Rule, mean_average_precision
from ssl_bench.protocols.metrics.multilabel import f1_scores, top_labels
from ssl_bench.protocols.protocol import Outcome, Protocol, noting_skipped
from ssl_bench.protocols.transfer.several import Difficult, Labelled, labelled, learnable
from ssl_bench.protocols.transfer.strength import Part, StrengthSettings, fit_chosen, logits_of
from ssl_bench.results.bootstrap import bootstrap
from ssl_bench.results.parts import of_lists
from ssl_bench.results.statistics import Interval

RULES: tuple[Rule, ...] = ("points11", "area", "step")
Primary = Literal["map", "overall_f1", "per_class_f1", "mean_class_f1", "overall_f1_top3", "per_class_f1_top3"]


class MultilabelSettings(StrengthSettings):
    """``rule``: which average precision ``map`` is; ``difficult``: see ``transfer.several``; ``primary``: the metric that
    the strength is chosen by and that comes first."""

    rule: Rule = "points11"
    difficult: Difficult = "exclude"
    primary: Primary = "map"


class Multilabel(Protocol):
    """Metrics in percent: ``map`` by the rule of the settings, ``map_points11``, ``map_area``, ``map_step``;
    ``overall_f1``, ``per_class_f1``, ``mean_class_f1`` of the labels with probability above 1/2; the same with ``_top3``."""

    name = "multilabel"
    summary = "One binary logistic regression a class on frozen features: mean AP and F1 of several labels an image"
    settings = MultilabelSettings

    def evaluate(self, backbone: Backbone, dataset: Dataset, settings: MultilabelSettings, compute: Compute) -> Outcome:
        view = seen_as(backbone, settings.geometry)
        splits = scenes(dataset, "present")
        parts = {
            name: labelled(view, split, compute, settings.embedding, settings.difficult)
            for name, split in splits.items()
        }
        outcome = score(parts["train"], parts.get("val"), parts["test"], dataset.classes, settings, compute)
        outcome.details["preprocess"] = view.preprocess.card.model_dump(mode="json")
        return noting_skipped(outcome, *(part.features for part in parts.values()))


def score(
    train: Labelled,
    val: Labelled | None,
    test: Labelled,
    classes: tuple[str, ...],
    settings: MultilabelSettings,
    compute: Compute,
) -> Outcome:
    """Choose, fit again, test once. Images of ``val`` are scored as the test's are."""
    details = dict[str, Any](validation="the data set's own")
    kept = np.arange(len(train))
    if val is None and len(settings.strengths) > 1:
        kept, out, details["validation"] = hold_out(train, settings, compute)
        held_x, held = np.asarray(train.x[out]), train.present[out]
    elif val is not None:
        held_x, held = val.x, val.present
    else:
        held_x, held = train.x[:0], train.present[:0]
    chosen, left_out = learnable(train.present[kept], classes)
    everything = Part(train.x, train.present[:, chosen] == 1)
    part = everything if val is not None or not len(held) else everything.rows(kept)
    if val is not None:
        everything = everything.and_(Part(val.x, held[:, chosen] == 1))
    fitted = fit_chosen(
        part,
        Part(held_x, held[:, chosen]),
        everything,
        len(chosen),
        lambda present, logits: nan_to_zero(all_metrics(present, logits, settings.rule)[0][settings.primary]),
        settings,
        compute,
    )
    logits, truth = logits_of(fitted.solution, test.x, settings), test.present[:, chosen]
    metrics, each = all_metrics(truth, logits, settings.rule)
    names = [classes[c] for c in chosen]
    details |= fitted.details
    details["ap"] = {name: round(100 * float(ap), 4) for name, ap in zip(names, each, strict=True) if ap == ap}
    if left_out:
        details["classes_left_out"] = left_out
    parts = of_lists(truth, logits, settings.rule, test.features.index) if settings.primary == "map" else None
    return Outcome(
        metrics,
        primary=settings.primary,
        selection=fitted.selection,
        interval=parts.interval() if parts else f1_interval(truth, logits, settings.primary),
        details=details,
        parts=parts,
    )


def all_metrics(present: np.ndarray, logits: np.ndarray, rule: Rule) -> tuple[dict[str, float], np.ndarray]:
    """Percentages, and the AP of each class by ``rule``; ``present``: (N, C) with -1 left out, ``logits``: (N, C)."""
    by_rule = {name: mean_average_precision(present, logits, name) for name in {*RULES, rule}}
    metrics = {"map": 100 * by_rule[rule][0]}
    metrics |= {f"map_{name}": 100 * by_rule[name][0] for name in RULES}
    metrics |= f1_scores(present, logits > 0)  # probability above 1/2
    metrics |= {f"{name}_top3": value for name, value in f1_scores(present, top_labels(logits, 3)).items()}
    return metrics, by_rule[rule][1]


def f1_interval(present: np.ndarray, logits: np.ndarray, metric: str) -> Interval | None:
    """Interval of one of the F1 from drawing the test images again."""
    guess = top_labels(logits, 3) if metric.endswith("_top3") else logits > 0
    name = metric.removesuffix("_top3")
    rows = np.arange(len(present))

    def drawn(counts: np.ndarray) -> float:
        chosen = np.repeat(rows, counts)
        return f1_scores(present[chosen], guess[chosen])[name]

    return bootstrap(len(present), drawn)


def hold_out(train: Labelled, settings: MultilabelSettings, compute: Compute) -> tuple[np.ndarray, np.ndarray, str]:
    """(kept, held out) rows, and what was done: the images that the data set's authors list for validation, or images drawn
    by the seed, without regard to classes, since an image has several."""
    images, own = len(train), train.validation
    if own is not None and 0 < len(own) < images:
        return np.setdiff1d(np.arange(images), own), own, "the data set's own"
    count = settings.val_images
    how = f"{count} training images, drawn"
    if count is None or 2 * count > images:
        count, how = max(1, round(images * settings.held_out)), f"{settings.held_out:.0%} of the training images, drawn"
    order = np.random.RandomState(compute.seed).permutation(images)
    return np.sort(order[count:]), np.sort(order[:count]), how


def nan_to_zero(value: float) -> float:
    """No held-out image has any of the classes: all strengths are equal."""
    return value if value == value else 0.0
