"""A folder of records is reviewed: what is right passes on every protocol, and every way to be wrong is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from results_factory import make_predictions, make_record

from ssl_bench.results.changes import changes, removed
from ssl_bench.results.ranges import range_of
from ssl_bench.results.record import DatasetFacts, IntervalFacts, Provenance, Record, content_hash, identified
from ssl_bench.results.review import review
from ssl_bench.results.store import Store

DIGITS = DatasetFacts(name="digits", fingerprint="f" * 64, n_train=1300, n_test=497, classes=10)


def right(**changed: Any) -> tuple[Record, dict[str, np.ndarray]]:
    """A record of k-NN on all of digits, and the predictions that give its number."""
    arrays = make_predictions(497)
    correct = arrays["label"] == arrays["prediction"]
    metrics = {
        "top1": 100 * float(correct.mean()),
        "mean_per_class": float(np.mean([100 * correct[arrays["label"] == c].mean() for c in range(10)])),
    }
    fields = {"dataset": DIGITS, "metrics": metrics, "interval": None, "settings": {"k": [10, 20, 100, 200]}}
    record = make_record(top1=metrics["top1"], **{**fields, **changed})
    return record, arrays


def problems(folder: Path, record: Record, arrays: dict[str, np.ndarray] | None, **how: Any) -> list[str]:
    Store(folder).save(record, arrays)
    return [problem.what for problem in review(folder, **how).errors]


def provenance(record: Record, **changed: Any) -> Provenance:
    return record.provenance.model_copy(update=changed)


def test_what_is_right_passes(tmp_path: Path) -> None:
    record, arrays = right()
    assert problems(tmp_path, record, arrays) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": "dino_vits61"}, "there is no model 'dino_vits61'"),
        ({"task": "knn_digit", "protocol": "knn"}, "there is no task 'knn_digit'"),
        ({"protocol": "linear"}, "knn_digits is knn on digits, not linear on digits"),
        ({"task_version": 9}, "version 9 of knn_digits is unknown (the newest is 1)"),
        ({"metrics": {"top1": 100.4}}, "top1 is 100.4, outside 0 to 100"),
        ({"metrics": {"top5": 99.0}}, "its headline 'top1' is not among its metrics"),
        ({"metrics": {"top1": float("nan")}}, "top1 is nan"),
        ({"interval": IntervalFacts(low=1, high=2, level=0.95, kind="wilson")}, "is not in its interval 1 to 2"),
        ({"dataset": DIGITS.model_copy(update={"n_test": 490})}, "n_test is 490, but digits has 497"),
        ({"dataset": DIGITS.model_copy(update={"classes": 9})}, "the labels of its predictions are not classes 0 to 8"),
        ({"settings": {"k": [10, 20, 100, 200], "temperature": 0.1}}, "temperature is 0.1, but knn_digits has 0.07"),
        ({"partial": True}, "it is partial: not all images were used"),
        ({"dataset": DIGITS.model_copy(update={"skipped": ("7.png",)})}, "1 images were skipped, such as 7.png"),
        ({"overrides": {"k": 3}}, "settings were changed and not declared: k"),
        ({"metrics": {"top1": 95.0}}, "it states 95 top1, but its predictions give"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    record, arrays = right(**changed)
    assert any(said in problem for problem in problems(tmp_path, record, arrays))


def test_versions_and_changes_of_the_code(tmp_path: Path) -> None:
    record, arrays = right()
    for changed, said in (
        ({"version": "99.0"}, "version 99.0 of ssl-bench is unknown (this is 0.1.0)"),
        ({"dirty": True}, "uncommitted changes"),
    ):
        folder = tmp_path / said[:7].strip()
        (found,) = problems(
            folder, identified(record.model_copy(update={"provenance": provenance(record, **changed)})), arrays
        )
        assert said in found


def test_experiments_of_ones_own_need_not_be_complete(tmp_path: Path) -> None:
    record, arrays = right(partial=True, overrides={"k": 3})
    assert len(problems(tmp_path, record, arrays)) == 2
    assert problems(tmp_path, record, arrays, complete=False) == []
    assert problems(tmp_path, record, arrays, declared=frozenset({record.run_id})) == [
        "it is partial: not all images were used"
    ]


def test_predictions_are_missed_and_damaged_ones_named(tmp_path: Path) -> None:
    record, arrays = right()
    assert problems(tmp_path / "none", record, None) == ["its predictions are missing"]
    assert problems(tmp_path / "few", record, {k: v[:300] for k, v in arrays.items()})[0] == (
        "its predictions are of 300 test images, the record's are 497"
    )
    Store(tmp_path / "cut").save(record, arrays)
    Store(tmp_path / "cut").path(record).with_suffix(".npz").write_bytes(b"PK")
    assert "the predictions cannot be read" in review(tmp_path / "cut").errors[0].what
    twice = {**arrays, "index": np.zeros(497, dtype=np.int64)}
    assert "its predictions name a test image twice, or with a negative position" in problems(
        tmp_path / "two", record, twice
    )


def test_two_records_of_one_cell(tmp_path: Path) -> None:
    first, arrays = right(minute=1)
    second, _ = right(minute=2)
    Store(tmp_path).save(first, arrays)
    (said,) = problems(tmp_path, second, arrays)
    assert said.startswith("the same cell is there already: dino_vits16/knn_digits/20260102T030100-")
    other, _ = right(minute=3, seed=1)
    assert len(problems(tmp_path, other, arrays)) == 1


def edit(path: Path, **changed: Any) -> dict[str, Any]:
    content = json.loads(path.read_text())
    content.update(changed)
    path.write_text(json.dumps(content))
    return content


def test_a_record_that_was_edited_by_hand_is_found(tmp_path: Path) -> None:
    record, arrays = right()
    path = Store(tmp_path).save(record, arrays)
    edit(path, metrics={"top1": 99.0})
    store = Store(tmp_path)
    assert store.all() == []
    assert "was changed after it was written" in store.damaged[0]
    (found,) = review(tmp_path).errors
    assert found.where == f"dino_vits16/knn_digits/{record.run_id}.json"


def test_so_is_one_whose_id_was_taken_away(tmp_path: Path) -> None:
    record, arrays = right()
    path = Store(tmp_path).save(record, arrays)
    edit(path, metrics={"top1": 99.0}, run_id="mine")
    assert "was changed after it was written (it says run id 'mine')" in review(tmp_path).errors[0].what
    path.rename(path.with_name("mine.json"))
    assert "its run id 'mine' has no hash of its content" in [problem.what for problem in review(tmp_path).errors]


def test_so_is_one_whose_hash_was_made_anew(tmp_path: Path) -> None:
    """Its predictions still give the number that was measured."""
    record, arrays = right()
    path = Store(tmp_path).save(record, arrays)
    content = edit(path, metrics={"top1": 99.0, "mean_per_class": 99.0})
    name = f"{record.run_id[:16]}{content_hash(content)}"
    edit(path, run_id=name)
    path.rename(path.with_name(f"{name}.json"))
    path.with_suffix(".npz").rename(path.with_name(f"{name}.npz"))
    assert len(Store(tmp_path).all()) == 1
    assert any("it states 99 top1, but its predictions give" in problem.what for problem in review(tmp_path).errors)


def test_so_is_one_in_another_models_folder(tmp_path: Path) -> None:
    record, arrays = right()
    path = Store(tmp_path).save(record, arrays)
    (tmp_path / "mae_vitb16").mkdir()
    path.parent.rename(tmp_path / "mae_vitb16" / "knn_digits")
    assert "it belongs to dino_vits16 on knn_digits, whose folder is another" in [
        p.what for p in review(tmp_path).errors
    ]


def test_what_changed_against_main(tmp_path: Path) -> None:
    old, arrays = right()
    new, _ = right(minute=5, settings={"k": [10, 20, 100, 200], "temperature": 0.07})
    other, _ = right(model="mae_vitb16")
    base = Store(tmp_path / "main")
    base.save(old, arrays)
    assert [c.kind for c in changes([old, new, other], base.all())] == ["changed", "new"]
    assert changes([old], [old]) == []
    assert [c.kind for c in changes([], [old])] == ["removed"]
    assert removed([old, new], base) == []
    (gone,) = removed([new], base)
    assert (gone.kind, gone.where) == ("error", f"dino_vits16/knn_digits/{old.run_id}.json")


def test_ranges() -> None:
    for metric in ("top1_k10", "map_points11", "mask_ap_small", "delta1", "jf_mean", "per_class_f1_top3", "mp10"):
        assert range_of(metric) == (0, 100), metric
    assert range_of("j_decay") == (-100, 100)
    assert range_of("uniformity")[1] == 0
    assert range_of("rms")[0] == 0
    assert range_of("somebodys_own")[0] == -float("inf")
