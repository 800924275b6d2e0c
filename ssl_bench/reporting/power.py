"""What the test set of a task can show: how far two models must be apart for the paired test to find it."""

from __future__ import annotations

from ssl_bench.cards import DatasetCard, TaskCard
from ssl_bench.errors import UnknownNameError
from ssl_bench.registry import registry
from ssl_bench.results.statistics import smallest_difference

ONE_CLASS = frozenset(
    [
        "knn",
        "linear",
        "linear_frozen",
        "linear_clip",
        "semi",
        "semi_frozen",
        "finetune",
        "transfer",
        "zero_shot",
        "video",
        "video_frozen",
    ]
)
"""Protocols that predict one class an image, so that McNemar's test compares models."""
DISCORDANT = (0.05, 0.1, 0.2)


def smallest_differences(task: TaskCard) -> dict[str, float]:
    """Share of the test images on which two models disagree -> accuracy difference in percentage points that is found with
    probability 80 % at the level of 5 %. Empty for other scores than accuracy, and where the number of test images is not
    known."""
    try:
        data = registry().dataset(task.dataset)
    except UnknownNameError:
        return {}
    if task.protocol not in ONE_CLASS or not isinstance(data, DatasetCard) or not data.test:
        return {}
    return {f"{share:.0%} disagree": round(smallest_difference(data.test, share), 2) for share in DISCORDANT}
