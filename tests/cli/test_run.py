"""``ssl-bench run`` from the shell's point of view: records, plans, repetition, seeds, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import Done, ssl_bench
from folders import image_folder, plugin

pytestmark = pytest.mark.usefixtures("fresh_registry")
TASK = "knn_imagefolder:colours"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    image_folder(tmp_path / "data")
    plugin(tmp_path)
    return tmp_path


def run(place: Path, *more: object, model: str = "colour", task: str = TASK) -> Done:
    from ssl_bench import registry

    registry.registry.cache_clear()
    registry._CURRENT.clear()
    common = ["--data-root", place / "data", "--results", place / "results", "--include", place / "colour_plugin.py"]
    return ssl_bench("run", "--model", model, "--task", task, *common, *more)


def records(place: Path) -> list[Path]:
    return sorted((place / "results").glob("*/*/*.json"))


def test_a_run_writes_one_record_that_says_everything(place: Path) -> None:
    done = run(place, "--json")
    assert done.code == 0, done.err
    (record,) = done.json
    assert record == json.loads(records(place)[0].read_text())
    assert list(record)[:4] == ["schema", "run_id", "model", "task"]
    assert record["metrics"]["top1"] == 100.0
    assert (record["dataset"]["n_train"], record["dataset"]["n_test"], record["dataset"]["classes"]) == (24, 12, 2)
    assert record["interval"]["kind"] == "wilson"
    assert record["interval"]["low"] < 100
    assert record["selection"] == "fixed"
    assert record["partial"] is False
    assert record["settings"]["temperature"] == 0.07
    assert record["weights"]["matched"] == record["weights"]["total"]
    assert record["provenance"]["argv"][1] == "run"
    assert records(place)[0].with_suffix(".npz").is_file()


def test_the_same_command_again_runs_only_what_is_missing(place: Path) -> None:
    run(place)
    again = run(place)
    assert "0 new, 1 found" in again.err
    assert len(records(place)) == 1
    wider = run(place, task=f"{TASK},low_shot_1_imagefolder:colours")
    assert "1 new, 1 found" in wider.err
    assert "1 new, 0 found" in run(place, "--force").err


def test_other_settings_seeds_images_are_other_cells(place: Path) -> None:
    run(place)
    assert "1 new, 0 found" in run(place, "--set", "k=[3]").err
    assert "1 new, 1 found" in run(place, "--seed", 0, "--seed", 1).err
    assert "1 new, 0 found" in run(place, "--limit", 4).err
    (place / "data" / "colours" / "train" / "red" / "000.png").unlink()
    assert "1 new, 0 found" in run(place).err


def test_a_limited_run_is_marked_as_partial(place: Path) -> None:
    (record,) = run(place, "--limit", 4, "--json").json
    assert record["partial"] is True
    assert record["dataset"]["n_train"] == 8


def test_a_subset_of_the_published_images_is_marked_as_partial(place: Path) -> None:
    """The card states 1,000 classes; the folder has two."""
    (place / "data" / "colours").rename(place / "data" / "imagenet")
    (record,) = run(place, "--json", task="knn_imagenet").json
    assert record["partial"] is True
    assert (record["dataset"]["n_train"], record["dataset"]["classes"]) == (24, 2)


def test_a_dry_run_describes_the_plan_and_runs_nothing(place: Path) -> None:
    done = run(place, "--dry-run", "--json")
    assert done.code == 0
    assert [row["state"] for row in done.json] == ["to run"]
    assert not records(place)
    run(place)
    assert [row["state"] for row in run(place, "--dry-run", "--json").json] == ["done"]
    missing = run(place, "--dry-run", "--json", task="knn_cifar10").json
    assert missing[0]["state"].startswith("data missing")
    unfetched = run(place, "--dry-run", "--json", model="dino_vits16").json
    assert unfetched[0]["state"].startswith("weights missing")


def test_one_failing_cell_does_not_stop_the_others(place: Path) -> None:
    done = run(place, model="not_a_number,colour")
    assert done.code == 1
    assert "FAILED not_a_number" in done.err
    assert "1 new, 0 found, 1 failed" in done.err
    assert [path.parent.parent.name for path in records(place)] == ["colour"]


def test_settings_reach_the_protocol(place: Path) -> None:
    (record,) = run(place, "--set", "k=[1, 5]", "--set", "temperature=1", "--json").json
    assert record["settings"]["k"] == [1, 5]
    assert record["settings"]["temperature"] == 1
    assert "top1_k5" in record["metrics"]


def test_the_table_shows_the_measured_number(place: Path) -> None:
    done = run(place)
    assert "colour" in done.out
    assert "100" in done.out
    shown = ssl_bench("table", "--results", place / "results", "--format", "csv")
    assert "colour" in shown.out


def test_every_flag_can_come_from_the_environment(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_BENCH_LIMIT", "3")
    monkeypatch.setenv("SSL_BENCH_SET", "k=[2]")
    (record,) = run(place, "--json").json
    assert record["dataset"]["n_train"] == 6
    assert record["settings"]["k"] == [2]


def test_the_python_interface_runs_the_same_cell(place: Path) -> None:
    import ssl_bench as package

    run(place)
    found = package.run(["colour"], [TASK], data_root=place / "data", results=place / "results", device="cpu")
    assert [record.model for record in found] == ["colour"]
    assert len(records(place)) == 1
