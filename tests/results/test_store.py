"""The results folder: written whole or not at all, never changed, nothing lost."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from results_factory import PREPROCESS, make_predictions, make_record

from ssl_bench.errors import StoreError
from ssl_bench.results import atomic
from ssl_bench.results.record import ComputeFacts, DatasetFacts, Record, WeightsFacts
from ssl_bench.results.store import Store, latest, read_record, safe_name, same_majors


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "measured")


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def fail_with(monkeypatch: pytest.MonkeyPatch, name: str, code: int, on_call: int = 1) -> None:
    """Let the ``on_call``-th use of ``os.<name>`` in the writing code fail as the system does."""
    calls = 0
    real = getattr(os, name)

    def failing(*arguments: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls >= on_call:
            raise OSError(code, os.strerror(code))
        return real(*arguments, **more)

    monkeypatch.setattr(atomic.os, name, failing)


def test_a_saved_record_and_its_predictions_come_back(store: Store) -> None:
    record, arrays = make_record(), make_predictions()
    path = store.save(record, arrays)
    assert path == store.root / "dino_vits16" / "knn_digits" / f"{record.run_id}.json"
    assert store.all() == [record]
    assert store.damaged == []
    again = store.predictions(record)
    assert again is not None
    assert set(again) == {"index", "label", "prediction", "score"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array)
    assert files(store.root) == [f"dino_vits16/knn_digits/{record.run_id}{end}" for end in (".json", ".npz")]


def test_a_record_without_id_is_given_one(store: Store) -> None:
    blank = make_record().model_copy(update={"run_id": ""})
    path = store.save(blank)
    assert path.stem == make_record().run_id
    assert store.predictions(make_record()) is None


def test_names_are_made_fit_for_file_systems(store: Store) -> None:
    record = make_record(model="timm:vit/tiny ../x", task="knn_imagefolder:a/b")
    path = store.save(record)
    assert path.relative_to(store.root).parts[:2] == ("timm-vit-tiny-..-x", "knn_imagefolder-a-b")
    assert store.all() == [record]
    assert [safe_name(name) for name in ("..", "/", "a" * 300)] == ["unnamed", "unnamed", "a" * 120]


def test_saving_the_same_twice_is_harmless_but_another_content_is_refused(store: Store) -> None:
    record = make_record()
    first = store.save(record, make_predictions())
    text = first.read_text()
    assert store.save(record, make_predictions()) == first
    with pytest.raises(StoreError, match="never changed"):
        store.save(make_record(top1=10.0).model_copy(update={"run_id": record.run_id}))
    assert first.read_text() == text


@pytest.mark.parametrize("on_call", [1, 2], ids=["predictions", "record"])
def test_a_full_disk_leaves_nothing_half_written(store: Store, monkeypatch: pytest.MonkeyPatch, on_call: int) -> None:
    store.save(make_record(minute=1), make_predictions())
    before = files(store.root)
    with monkeypatch.context() as context:
        fail_with(context, "fsync", errno.ENOSPC, on_call)
        with pytest.raises(StoreError, match=r"No space left.*\n.*disk is full"):
            store.save(make_record(minute=2), make_predictions())
    assert files(store.root) == before
    store.save(make_record(minute=2), make_predictions())
    assert len(store.all()) == 2


def test_an_interrupt_between_predictions_and_record_leaves_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic.os, "link", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.save(make_record(), make_predictions())
    assert files(store.root) == []


def test_predictions_of_a_killed_save_do_not_stand_in_the_way(store: Store) -> None:
    record = make_record()
    orphan = store.path(record).with_suffix(".npz")
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"half of a file")
    assert store.all() == []
    store.save(record, make_predictions())
    assert store.predictions(record) is not None


def test_a_read_only_folder_is_found_out_before_the_work(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.check_writable()
    assert files(store.root) == []

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("tempfile.TemporaryFile", refused)
    with pytest.raises(StoreError, match=r"Permission denied.*\n.*may not write there.*--results"):
        store.check_writable()


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="A file stands where a folder is needed"):
            Store(root).check_writable()
    with pytest.raises(StoreError, match="A file stands where a folder is needed"):
        Store(tmp_path / "file").save(make_record())


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_hard_links(store: Store, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    fail_with(monkeypatch, "link", code)
    record = make_record()
    store.save(record, make_predictions())
    assert store.all() == [record]
    assert files(store.root) == [f"dino_vits16/knn_digits/{record.run_id}{end}" for end in (".json", ".npz")]


def _save_many(root: Path, worker: int, count: int) -> None:
    for i in range(count):
        Store(root).save(make_record(top1=float(i), details={"worker": worker}), make_predictions())


def test_runs_at_once_lose_nothing(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_save_many, args=(store.root, worker, 20)) for worker in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    found = {(r.details["worker"], r.value) for r in store.all()}
    assert found == {(worker, float(i)) for worker in range(2) for i in range(20)}
    assert store.damaged == []


def test_damaged_altered_and_foreign_files_are_named_and_do_not_stop_the_others(store: Store) -> None:
    good = make_record(minute=5)
    folder = store.save(good).parent
    content = json.loads(make_record(minute=6).to_json())
    (folder / "cut.json").write_text(json.dumps(content)[:100])
    (folder / "text.json").write_text("[1]")
    (folder / "bytes.json").write_bytes(b"\xff\xfe\x00")
    (folder / "newer.json").write_text(json.dumps({**content, "schema": 2}))
    (folder / "better.json").write_text(json.dumps({**content, "metrics": {"top1": 99.9}}))
    (folder / "poorer.json").write_text(json.dumps({k: v for k, v in content.items() if k != "weights"}))
    assert store.all() == [good]
    said = {Path(line.split(": ")[0]).name: line for line in store.damaged}
    assert set(said) == {f"{name}.json" for name in ("cut", "text", "bytes", "newer", "better", "poorer")}
    assert "is damaged" in said["cut.json"]
    assert "is damaged" in said["bytes.json"]
    assert "schema 2" in said["newer.json"]
    assert "changed after it was written" in said["better.json"]
    assert "weights: Field required" in said["poorer.json"]
    with pytest.raises(StoreError, match=r"cut\.json"):
        read_record(folder / "cut.json")


def test_the_same_content_in_other_spacing_is_the_same_record(store: Store) -> None:
    path = store.save(make_record())
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert store.all() == [make_record()]


def test_damaged_predictions_are_named(store: Store) -> None:
    record = make_record()
    path = store.save(record, make_predictions()).with_suffix(".npz")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(StoreError, match=r"\.npz: the predictions cannot be read"):
        store.predictions(record)


def test_predictions_of_unequal_length_or_with_objects_are_refused(store: Store) -> None:
    for arrays in ({"index": np.arange(3), "label": np.arange(2)}, {"index": np.array([{}], dtype=object)}):
        with pytest.raises(ValueError, match="one row for each test image"):
            store.save(make_record(), arrays)
    assert files(store.root) == []


CELL: dict[str, Any] = {
    "model": "dino_vits16",
    "task": "knn_digits",
    "task_version": 1,
    "settings": {"k": (10, 20), "temperature": 0.07},
    "seed": 0,
    "weights_sha256": "a" * 64,
    "weights_definition": "",
    "dataset_fingerprint": "f" * 64,
    "preprocess": {**PREPROCESS, "mean": (0.5, 0.5, 0.5)},
    "partial": False,
    "precision": "fp32",
    "pipeline": "exact",
    "packages": {"torch": "2.9.1", "timm": "1.5", "unheard_of": "3"},
}


def test_find_gives_the_newest_record_of_exactly_this_cell(store: Store) -> None:
    assert store.find(**CELL) is None
    old, new = make_record(minute=1), make_record(minute=2)
    store.save(new)
    store.save(old)
    assert store.find(**CELL) == new
    assert store.find(**{**CELL, "precision": None, "pipeline": None, "packages": None}) == new


@pytest.mark.parametrize(
    "change",
    [
        {"task_version": 2},
        {"settings": {"k": [10], "temperature": 0.07}},
        {"settings": {"k": [10, 20], "temperature": 0.1}},
        {"seed": 1},
        {"weights_sha256": "b" * 64},
        {"weights_definition": '{"layout": "dino_full_teacher"}'},
        {"dataset_fingerprint": "e" * 64},
        {"preprocess": {**PREPROCESS, "resize": 224}},
        {"partial": True},
        {"precision": "bf16"},
        {"pipeline": "fast"},
        {"packages": {"torch": "3.0"}},
        {"model": "dino_vits8"},
        {"task": "knn_cifar10"},
    ],
    ids=str,
)
def test_any_change_of_the_cell_is_another_cell(store: Store, change: dict[str, Any]) -> None:
    store.save(make_record())
    assert store.find(**{**CELL, **change}) is None


def test_names_that_share_a_folder_are_not_mixed_up(store: Store) -> None:
    store.save(make_record(model="timm:a"))
    assert store.find(**{**CELL, "model": "timm-a"}) is None
    assert store.find(**{**CELL, "model": "timm:a"}) is not None


def test_a_partial_record_is_found_only_by_a_partial_cell(store: Store) -> None:
    store.save(make_record(partial=True))
    assert store.find(**CELL) is None
    assert store.find(**{**CELL, "partial": True}) is not None
    assert store.all(include_partial=False) == []


def test_majors_below_one_are_minors() -> None:
    assert same_majors({"torch": "2.6.0+cpu", "torchvision": "0.21.0"}, {"torch": "2.15", "torchvision": "0.21.3"})
    assert not same_majors({"torchvision": "0.21.0"}, {"torchvision": "0.22.0"})


def test_latest_is_one_record_for_each_model_task_and_seed(store: Store) -> None:
    records = [
        make_record(minute=1),
        make_record(minute=9, partial=True),
        make_record(minute=2, task_version=2, top1=90.0),
        make_record(minute=3, top1=91.0),
        make_record(minute=4, seed=1),
        make_record(minute=5, model="other", partial=True),
    ]
    for record in records:
        store.save(record)
    chosen = store.latest()
    assert {(r.model, r.seed): r for r in chosen} == {
        ("dino_vits16", 0): records[2],
        ("dino_vits16", 1): records[4],
        ("other", 0): records[5],
    }
    assert len(store.latest(include_partial=False)) == 2
    custom = make_record(minute=8, task_version=3, overrides={"k": [5]})
    assert latest([*records, custom])[0] == records[2]


def test_all_is_ordered_by_time_whatever_the_folders_are_called(store: Store) -> None:
    for minute, model in ((3, "a"), (1, "c"), (2, "b")):
        store.save(make_record(model=model, minute=minute))
    assert [record.model for record in store.all()] == ["c", "b", "a"]


def test_facts_of_every_part_survive(store: Store) -> None:
    record = make_record(
        dataset=DatasetFacts(name="d", fingerprint="1", n_train=1, n_test=2, classes=3, skipped=("a.jpg",)),
        weights=WeightsFacts(source="u", sha256="s", matched=1, total=2),
        compute=ComputeFacts(
            device="cuda",
            precision="bf16",
            world_size=2,
            batch_size=8,
            pipeline="fast",
            seconds=1.0,
            peak_memory_mb=2.5,
        ),
    )
    store.save(record)
    again: Record = store.all()[0]
    assert again.dataset.skipped == ("a.jpg",)
    assert again.compute == record.compute
