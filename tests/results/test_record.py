"""The record is a contract: keys, their order, and that nothing is lost on the way to JSON and back."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from pydantic import ValidationError
from results_factory import make_record

from ssl_bench.results.record import Record, content_hash, identified

# fmt: off
SCHEMA_1 = [
    "schema", "run_id", "model", "task", "task_version", "protocol", "method", "dataset", "metrics", "primary", "interval",
    "settings", "selection", "seed", "partial", "weights", "preprocess", "compute", "provenance",
]
# fmt: on


def test_keys_stand_in_the_order_of_the_interface() -> None:
    keys = list(json.loads(make_record().to_json()))
    assert [key for key in keys if key in SCHEMA_1] == SCHEMA_1
    assert set(keys) - set(SCHEMA_1) == {"details", "overrides"}


@pytest.mark.parametrize(
    ("part", "keys"),
    [
        ("dataset", ["name", "fingerprint", "n_train", "n_test", "classes"]),
        ("interval", ["low", "high", "level", "kind"]),
        ("weights", ["source", "sha256", "matched", "total"]),
        (
            "compute",
            ["device", "precision", "world_size", "batch_size", "seconds", "images_per_second", "peak_memory_mb"],
        ),
        ("provenance", ["version", "commit", "dirty", "packages", "python", "argv", "created"]),
    ],
)
def test_keys_of_the_parts(part: str, keys: list[str]) -> None:
    found = list(json.loads(make_record().to_json())[part])
    assert [key for key in found if key in keys] == keys


def test_json_gives_the_same_record_back() -> None:
    record = make_record(details={"split": [1, 2], "name": "é"})
    assert Record.model_validate_json(record.to_json()) == record


def test_numbers_that_are_not_finite_survive() -> None:
    record = make_record(metrics={"top1": 50.0, "lidar": math.nan, "ratio": math.inf}, details={"loss": math.nan})
    json.loads(record.to_json(), parse_constant=pytest.fail)
    again = Record.model_validate_json(record.to_json())
    assert math.isnan(again.metrics["lidar"])
    assert again.metrics["ratio"] == math.inf


def test_numpy_and_tuples_in_settings_and_details_become_plain() -> None:
    record = make_record(
        settings={"k": (10, 20)},
        details={"lr": np.float32(0.5), "n": np.int64(3), "curve": np.arange(3), "set": {2, 1}},
    )
    assert record.settings == {"k": [10, 20]}
    assert record.details == {"lr": 0.5, "n": 3, "curve": [0, 1, 2], "set": [1, 2]}
    assert json.loads(record.to_json())["details"]["n"] == 3


def test_extra_fields_other_schemas_and_changes_are_refused() -> None:
    with pytest.raises(ValidationError):
        make_record(colour="blue")
    content = json.loads(make_record().to_json())
    with pytest.raises(ValidationError):
        Record.model_validate({**content, "schema": 2})
    with pytest.raises(ValidationError):
        make_record().seed = 3  # type: ignore[misc]


def test_details_of_two_records_are_not_shared() -> None:
    one, other = make_record(), make_record()
    one.details["x"] = 1
    assert other.details == {}


def test_run_id_is_time_and_hash_of_the_content() -> None:
    record = make_record(minute=7)
    assert re.fullmatch(r"20260102T030700-[0-9a-f]{8}", record.run_id)
    assert identified(record).run_id == record.run_id
    assert make_record(minute=7, top1=93.5).run_id != record.run_id
    content = json.loads(record.to_json())
    shuffled = dict(reversed(content.items()))
    assert content_hash(shuffled) == content_hash(content) == record.run_id[-8:]


def test_value_is_the_primary_metric() -> None:
    assert make_record(metrics={"top1": 1.0, "top5": 2.0}, primary="top5", interval=None).value == 2.0
