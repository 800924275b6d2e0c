"""What protocols save beside their record gives the headline and its interval again, and two models can be compared by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ssl_bench
from ssl_bench.reporting.compare import compare_models
from ssl_bench.results.parts import Parts
from ssl_bench.results.store import Store

TASKS = {
    "attention_shapes": {},
    "retrieve_shapes": {},
    "copydays_shapes_copies": {},
    "davis_moving_shapes": {"frames": 3},
    "multilabel_shapes": {"strengths": [1.0]},
    "svm_shapes": {"costs": [0.1], "folds": 2, "max_iterations": 50},
    "segment_linear_shapes": {"steps": 1, "batch_size": 2},
    "depth_shapes": {"steps": 1, "batch_size": 2},
}


@pytest.mark.parametrize("task", TASKS)
def test_the_headline_can_be_computed_again(task: str, tmp_path: Path) -> None:
    (record,) = ssl_bench.run(
        ["random_vit_small32"], [task], results=tmp_path, device="cpu", limit=4, settings=TASKS[task]
    )
    store = Store(tmp_path)
    arrays = store.predictions(record)
    parts = Parts(arrays)
    assert parts.score()(np.ones(len(arrays["index"]), dtype=int)) == pytest.approx(record.value)
    interval = parts.interval()
    assert (interval.low, interval.high) == pytest.approx((record.interval.low, record.interval.high))
    store.save(record.model_copy(update={"model": "same", "run_id": ""}), arrays)
    ((found,), _) = compare_models(store, ["random_vit_small32", "same"], [task])
    assert (found.difference, found.p_value, found.a) == (0, 1, pytest.approx(record.value))
