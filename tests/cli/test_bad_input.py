"""Everything a user may do wrong: one clear message, the right exit code, nothing lost, never a traceback."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
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
    common = ["--data-root", place / "data", "--results", place / "results", "--include", place / "colour_plugin.py"]
    return ssl_bench("run", "--model", model, "--task", task, *common, *more)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "dino_vits61", "--task", TASK], "dino_vits16"),
        (["--model", "colour", "--task", "kn_imagenet"], "knn_imagenet"),
        (["--model", "colour", "--task", TASK, "--set", "k=many"], "k = 'many'"),
        (["--model", "colour", "--task", TASK, "--set", "kk=3"], "kk: knn has no such setting"),
        (["--model", "colour", "--task", TASK, "--set", "temperature"], "KEY=VALUE"),
        (["--model", "colour", "--task", TASK, "--set", "temperature=-1"], "temperature"),
        (["--model", "colour", "--task", TASK, "--modle", "x"], "--modle"),
        (["--model", "colour", "--task", TASK, "--device", "cuda:9"], "CUDA devices"),
        (["--model", "colour", "--task", TASK, "--device", "gpu"], "Use auto"),
        (["--model", "colour", "--task", TASK, "--precision", "fp8"], "fp8"),
        (["--model", "colour", "--task", TASK, "--batch-size", "0"], "--batch-size"),
        (["--model", "colour", "--task", TASK, "--limit", "0"], "--limit"),
        (["--model", "colour", "--task", TASK, "--seed", "x"], "--seed"),
        (["--model", "colour"], "--task"),
        (
            ["--model", "colour,dino_vits16", "--task", TASK, "--weights", "x.pth"],
            "one checkpoint cannot serve 2 models",
        ),
        (["--model", "dino_vits16", "--task", TASK, "--weights", "none.pth"], "none.pth"),
        (["--model", "dino_vits16", "--task", TASK], "dino_deitsmall16_pretrain.pth"),
        (["--model", "none.yaml", "--task", TASK], "no such card"),
        (["--model", "timm:no_such_net", "--task", TASK], "no_such_net"),
    ],
)
def test_wrong_arguments(place: Path, arguments: list[str], says: str) -> None:
    common = ["--data-root", place / "data", "--results", place / "results", "--include", place / "colour_plugin.py"]
    done = ssl_bench("run", *arguments, *common)
    assert done.code == 2, done.err
    assert says in done.err
    assert not (place / "results").exists() or not list((place / "results").glob("*/*/*.json"))


def test_wrong_verbs_and_lists() -> None:
    assert "Did you mean: run" in ssl_bench("rnu").err
    assert ssl_bench("rnu").code == 2
    assert ssl_bench("list", "modles").code == 2
    assert ssl_bench("show", "model", "dino").code == 2
    assert ssl_bench("list", "datasets", "--arch", "vit").code == 2
    assert ssl_bench("table", "--table", "2").code == 2


def test_a_missing_data_root_says_where_it_looked(place: Path) -> None:
    done = ssl_bench(
        "run", "--model", "random_resnet_small32", "--task", "knn_cifar10", "--data-root", place / "nowhere"
    )
    assert done.code == 2
    assert str(place / "nowhere") in done.err


def test_an_empty_class_folder_is_named(place: Path) -> None:
    (place / "data" / "colours" / "train" / "green").mkdir()
    done = run(place)
    assert done.code == 2
    assert "green" in done.err


def test_a_class_without_training_images_is_named(place: Path) -> None:
    (place / "data" / "colours" / "val" / "red").rename(place / "data" / "colours" / "val" / "rot")
    done = run(place)
    assert done.code == 2
    assert "rot" in done.err


def test_features_that_are_not_finite(place: Path) -> None:
    done = run(place, model="not_a_number")
    assert done.code == 2
    assert "finite" in done.err or "NaN" in done.err


def test_k_larger_than_the_training_set(place: Path) -> None:
    done = run(place, "--set", "k=[1000]")
    assert done.code == 2
    assert "1000" in done.err
    assert "24" in done.err


def test_an_unreadable_image_stops_the_run_or_is_counted(place: Path) -> None:
    (place / "data" / "colours" / "train" / "red" / "003.png").write_bytes(b"not an image")
    done = run(place)
    assert done.code == 2
    assert "003.png" in done.err
    from ssl_bench import registry

    registry.registry.cache_clear()
    registry._CURRENT.clear()
    (record,) = run(place, "--skip-broken", "--json").json
    assert len(record["dataset"]["skipped"]) == 1
    assert "003.png" in record["dataset"]["skipped"][0]


def test_a_full_disk_leaves_nothing_half_written(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    done = run(place)
    assert done.code == 2
    assert "No space left" in done.err
    assert not list((place / "results").rglob("*.*"))


def test_a_results_folder_that_cannot_be_written_is_found_before_the_work(place: Path) -> None:
    (place / "results").write_text("a file where the folder should be")
    done = run(place)
    assert done.code == 2
    assert str(place / "results") in done.err


def test_two_runs_at_once_both_finish(place: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "ssl_bench",
        "run",
        "--model",
        "colour",
        "--task",
        TASK,
        "--data-root",
        place / "data",
    ]
    command += ["--results", place / "results", "--include", place / "colour_plugin.py"]
    both = [
        subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outcomes = [(process.communicate()[1], process.returncode) for process in both]
    assert [code for _, code in outcomes] == [0, 0], outcomes
    from ssl_bench.results.store import Store

    store = Store(place / "results")
    assert {record.value for record in store.all()} == {100.0}
    assert not store.damaged


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"train_x": np.ones((4, 2)), "train_y": np.array([0, 1, 0, 1])}, "test_x"),
        (
            {
                "train_x": np.ones((4, 2)),
                "train_y": np.array([0, 1, 0]),
                "test_x": np.ones((2, 2)),
                "test_y": np.array([0, 1]),
            },
            "3",
        ),
        (
            {
                "train_x": np.ones((4, 2)),
                "train_y": np.array([0, 1, 0, 1]),
                "test_x": np.ones((2, 3)),
                "test_y": np.array([0, 1]),
            },
            "3",
        ),
        (
            {
                "train_x": np.ones((4, 2)),
                "train_y": np.array([0.5, 1, 0, 1]),
                "test_x": np.ones((2, 2)),
                "test_y": np.array([0, 1]),
            },
            "integer",
        ),
        (
            {
                "train_x": np.full((4, 2), np.nan),
                "train_y": np.array([0, 1, 0, 1]),
                "test_x": np.ones((2, 2)),
                "test_y": np.array([0, 1]),
            },
            "finite",
        ),
    ],
)
def test_features_of_the_user_that_cannot_be_scored(tmp_path: Path, arrays: dict[str, np.ndarray], says: str) -> None:
    np.savez(tmp_path / "f.npz", **arrays)
    done = ssl_bench("score", tmp_path / "f.npz", "--protocol", "knn")
    assert done.code == 2
    assert says in done.err


def test_what_is_no_feature_file(tmp_path: Path) -> None:
    (tmp_path / "f.npz").write_bytes(b"no zip")
    np.savez(tmp_path / "pickled.npz", train_x=np.array([{}], dtype=object))
    for name in ("none.npz", "f.npz", "pickled.npz"):
        done = ssl_bench("score", tmp_path / name)
        assert done.code == 2
        assert name in done.err
    assert "linear" in ssl_bench("score", tmp_path / "none.npz", "--protocol", "linaer").err
