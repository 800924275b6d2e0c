"""Exports: the data frame, Papers with Code, Hugging Face's model-index, TensorBoard, Weights & Biases."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import yaml
from command import ssl_bench
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results
from results_factory import make_record

import ssl_bench as package
from ssl_bench.errors import MissingExtraError
from ssl_bench.reporting.export import frame, sinks
from ssl_bench.reporting.export.model_index import model_index
from ssl_bench.reporting.export.papers_with_code import evaluation_tables
from ssl_bench.results.record import Record
from ssl_bench.results.store import Store


@pytest.fixture
def records() -> list[Record]:
    return [
        make_record("dino_vits16", "knn_imagenet", 74.5, n_test=50_000, seed=0),
        make_record("dino_vits16", "knn_imagenet", 74.7, n_test=50_000, seed=1),
        make_record("dino_vits16", "knn_cifar10", 95.0),
        make_record("mae_vitb16", "knn_imagenet", 40.0, n_test=50_000),
        make_record("mae_vitb16", "knn_cifar10", 70.0, partial=True),
    ]


@pytest.fixture
def store(records: list[Record], tmp_path: Path) -> Path:
    for record in records:
        Store(tmp_path / "results").save(record)
    return tmp_path / "results"


def test_results_as_a_data_frame(store: Path) -> None:
    table = package.results(store)
    assert list(table.columns) == frame.COLUMNS
    assert len(table) == 5
    dino = table[(table.model == "dino_vits16") & (table.task == "knn_imagenet")]
    assert dino.value.mean() == pytest.approx(74.6)
    assert (dino.low < dino.value).all()
    assert set(dino.architecture) == {"vit_small_patch16_224"}
    assert dict(zip(table.marks, table.task, strict=True))["partial"] == "knn_cifar10"
    assert list(package.results(store.parent / "none").columns) == frame.COLUMNS


def test_every_record_and_every_metric(records: list[Record], store: Path) -> None:
    Store(store).save(make_record("dino_vits16", "knn_cifar10", 95.5, minute=5))
    both = make_record("a", "knn_digits", metrics={"top1": 90.0, "top5": 99.0})
    Store(store).save(both)
    assert len(package.results(store)) == 6
    assert len(package.results(store, every=True)) == 7
    long = package.results(store, all_metrics=True)
    of_a = long[long.model == "a"].set_index("metric")
    assert of_a.value.to_dict() == {"top1": 90.0, "top5": 99.0}
    assert of_a.low.isna().to_dict() == {"top1": False, "top5": True}


def test_a_row_has_the_documented_columns(records: list[Record]) -> None:
    (row, *_) = frame.rows(records)
    assert list(row) == frame.COLUMNS


def test_the_frame_imports_no_torch(store: Path) -> None:
    code = (
        "import sys, ssl_bench\n"
        "assert 'pandas' not in sys.modules\n"
        f"table = ssl_bench.results({str(store)!r})\n"
        "import ssl_bench.results.store\n"
        "assert len(ssl_bench.results(sys.argv[1])) == len(table) == 5\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code, store], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_papers_with_code_has_their_keys(records: list[Record]) -> None:
    (task,) = json.loads(evaluation_tables(frame.usual(records)[0]))
    assert set(task) == {"task", "description", "categories", "datasets", "subtasks", "synonyms", "source_link"}
    assert task["task"] == "knn"
    tables = {table["dataset"]: table["sota"] for table in task["datasets"]}
    assert set(tables) == {"imagenet", "cifar10"}
    dino, mae = tables["imagenet"]["rows"]
    assert tables["imagenet"]["metrics"] == ["top1"]
    assert dino["metrics"] == {"top1": pytest.approx(74.6)}  # the mean of two seeds
    assert dino["paper_url"] == "https://arxiv.org/abs/2104.14294"
    assert dino["model_links"][0]["url"].startswith("https://")
    assert (dino["uses_additional_data"], mae["model_name"]) == (False, "mae_vitb16")
    assert tables["cifar10"]["rows"][0]["uses_additional_data"] is True
    assert len(tables["cifar10"]["rows"]) == 1  # the other one is partial


def test_the_model_index_is_read_by_hugging_face(records: list[Record]) -> None:
    text = model_index([record for record in records if record.model == "dino_vits16"])
    card = ModelCard(text + "\n# DINO\n")
    assert card.data.license == "apache-2.0"
    assert card.data.model_name == "dino_vits16"
    imagenet, cifar = card.data.eval_results
    assert (imagenet.task_type, imagenet.dataset_type, imagenet.metric_type) == (
        "image-classification",
        "imagenet-1k",
        "accuracy",
    )
    assert imagenet.metric_value == pytest.approx(74.6)
    assert imagenet.metric_args["seeds"] == 2
    assert imagenet.dataset_args["ssl_bench_task"] == "knn_imagenet"
    assert cifar.metric_args["low"] < 95 < cifar.metric_args["high"]
    content = yaml.safe_load(text.strip("-\n"))
    assert model_index_to_eval_results(content["model-index"])[0] == "dino_vits16"


def test_a_licence_that_the_hub_does_not_list_is_named_beside_other() -> None:
    index = yaml.safe_load(model_index([make_record("unknown_model")]).strip("-\n"))
    assert "license" not in index
    (result,) = index["model-index"][0]["results"]
    assert result["task"]["type"] == "image-classification"


def test_tensorboard_reads_the_events(records: list[Record], tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    sinks.to_tensorboard(records, tmp_path)
    events = event_accumulator.EventAccumulator(str(tmp_path / "dino_vits16"))
    events.Reload()
    scalars = events.Scalars("knn_imagenet/top1")
    assert [(event.step, event.value) for event in scalars] == [(0, pytest.approx(74.5)), (1, pytest.approx(74.7))]
    assert pd.Timestamp(scalars[0].wall_time, unit="s", tz="UTC") == pd.Timestamp(records[0].provenance.created)
    assert set(events.Tags()["scalars"]) >= {"knn_cifar10/top1", "knn_cifar10/top1_low", "knn_cifar10/top1_high"}


class FakeWandb:
    """What is used of wandb; keeps what it was told."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []

    def init(self, **given: Any) -> SimpleNamespace:
        run = {**given, "summary": {}, "finished": False}
        self.runs.append(run)
        return SimpleNamespace(summary=run["summary"], finish=lambda: run.update(finished=True))


def test_wandb_gets_a_run_a_record(records: list[Record], monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)  # type: ignore[arg-type]
    sinks.to_wandb(records, "ssl")
    assert [run["id"] for run in fake.runs] == [record.run_id for record in records]
    first = fake.runs[0]
    assert (first["project"], first["group"], first["finished"]) == ("ssl", "dino_vits16", True)
    assert first["config"]["settings"]["temperature"] == 0.07
    assert first["summary"]["knn_imagenet/top1"] == 74.5
    json.dumps(first["config"])


def test_a_tracker_that_is_not_installed_is_named(
    records: list[Record], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("wandb", "tensorboard.compat.proto.event_pb2"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match="needs wandb"):
        sinks.to_wandb(records, "ssl")
    with pytest.raises(MissingExtraError, match="needs tensorboard"):
        sinks.to_tensorboard(records, tmp_path)


def test_the_verb(store: Path, tmp_path: Path) -> None:
    done = ssl_bench("export", "--results", store)
    assert done.code == 0, done.err
    assert len(pd.read_csv(io.StringIO(done.out))) == 5
    done = ssl_bench("export", "--results", store, "--format", "pwc", "--out", tmp_path / "tables.json")
    assert "Left out: 1 partial" in done.err
    assert json.loads((tmp_path / "tables.json").read_text())[0]["task"] == "knn"
    done = ssl_bench("export", "--results", store, "--format", "model-index", "--model", "mae*")
    assert yaml.safe_load(done.out.strip("-\n"))["model-index"][0]["name"] == "mae_vitb16"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--format", "model-index"], "Give one with --model: dino_vits16, mae_vitb16"),
        (["--format", "tensorboard"], "needs --out"),
        (["--model", "mae*", "--task", "knn_cifar10", "--format", "pwc"], "No record is left to export"),
        (["--model", "nobody"], "nobody"),
    ],
)
def test_what_cannot_be_exported_is_said(store: Path, arguments: list[str], says: str) -> None:
    done = ssl_bench("export", "--results", store, *arguments)
    assert done.code == 2
    assert says in done.err
