"""A model's results as the metadata of a Hugging Face model card (``model-index``)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from ssl_bench.reporting.about import card_of
from ssl_bench.reporting.export.headlines import Headline, headlines, title_of
from ssl_bench.reporting.text import is_percent
from ssl_bench.results.record import Record

TASK_TYPES = {
    "detect": "object-detection",
    "segment": "image-segmentation",
    "depth": "depth-estimation",
    "zero_shot": "zero-shot-image-classification",
    "video": "video-classification",
    "video_frozen": "video-classification",
    "audio": "audio-classification",
    "audio_frozen": "audio-classification",
    "attention": "image-segmentation",
    "davis": "image-segmentation",
    "retrieve": "image-feature-extraction",
    "copydays": "image-feature-extraction",
    "label_free": "image-feature-extraction",
    "throughput": "image-feature-extraction",
}
"""Protocol -> the hub's name of the task; the others are ``image-classification``."""
DATASETS = {
    "imagenet": "imagenet-1k",
    "cifar10": "cifar10",
    "cifar100": "cifar100",
    "food101": "food101",
}
"""Our names of data sets -> the hub's, where there is one."""
METRICS = {"top1": "accuracy", "mean_per_class": "accuracy", "miou": "mean_iou"}
"""Our names of metrics -> the hub's, where there is one."""
LICENCES = frozenset(
    ["apache-2.0", "mit", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-sa-4.0", "cc0-1.0", "bsd-3-clause"]
)
"""The hub's names are SPDX's in lower case; only those that it lists are accepted."""


def model_index(records: Iterable[Record]) -> str:
    """The YAML block for the head of a model's README, between its ``---`` lines. ``records``: of one model."""
    found = headlines(records)
    model = found[0].record.model
    card = card_of(model)
    data: dict[str, Any] = _licence(card.licence if card else None)
    if card and card.pretrain.dataset:
        data["datasets"] = [DATASETS.get(card.pretrain.dataset, card.pretrain.dataset)]
    data["tags"] = ["self-supervised-learning", found[0].record.method]
    data["model-index"] = [{"name": model, "results": [_result(one) for one in found]}]
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{text}---\n"


def _result(one: Headline) -> dict[str, Any]:
    dataset = one.record.dataset.name
    return {
        "task": {
            "type": TASK_TYPES.get(one.record.protocol, "image-classification"),
            "name": one.summary or one.variant,
        },
        "dataset": {
            "type": DATASETS.get(dataset, dataset),
            "name": title_of(dataset),
            "split": "test",
            "args": _settings(one),
        },
        "metrics": [_metric(one)],
    }


def _settings(one: Headline) -> dict[str, Any]:
    """What tells two results on one data set apart."""
    return {"ssl_bench_task": one.record.task, "version": one.record.task_version}


def _metric(one: Headline) -> dict[str, Any]:
    cell = one.cell
    unit = " (%)" if is_percent(cell.metric) else ""
    args = {
        key: value
        for key, value in (("low", cell.low), ("high", cell.high), ("seeds", cell.seeds))
        if value is not None
    }
    return {
        "type": METRICS.get(cell.metric, cell.metric),
        "name": cell.metric + unit,
        "value": cell.value,
        "args": {**args, "interval": cell.interval} if cell.interval else args,
    }


def _licence(licence: str | None) -> dict[str, Any]:
    if licence is None:
        return {}
    return (
        {"license": licence.lower()} if licence.lower() in LICENCES else {"license": "other", "license_name": licence}
    )
