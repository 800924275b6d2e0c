"""``table``, ``compare``, ``leaderboard`` on records of the store, from the shell's point of view."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command import ssl_bench
from results_factory import make_record

from ssl_bench.results.store import Store


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two models on one task: 60 and 80 of 100 right, the better one right wherever the other is."""
    store, labels = Store(tmp_path / "results"), np.zeros(100, dtype=np.int64)
    for name, right in (("raw_pixels", 60), ("random_vits16", 80)):
        prediction = np.where(np.arange(100) < right, 0, 1)
        arrays = {"index": np.arange(100), "label": labels, "prediction": prediction}
        store.save(make_record(name, "knn_digits", float(right), n_test=100), arrays)
    return tmp_path / "results"


def test_table_in_every_format(results: Path) -> None:
    for format_ in ("rich", "md", "csv", "latex", "html", "json"):
        done = ssl_bench("table", "--results", results, "--tasks", "knn_digits", "--format", format_)
        assert done.code == 0, done.err
        assert "80" in done.out
    table = ssl_bench("table", "--results", results, "--json").json
    assert {row["model"] for row in table["rows"]} >= {"raw_pixels", "random_vits16"}


def test_a_papers_table_needs_no_records(tmp_path: Path) -> None:
    done = ssl_bench("table", "--paper", "dino", "--table", "2", "--results", tmp_path / "none")
    assert done.code == 0
    assert "No records" in done.err
    assert "77.0" in done.out  # Table 2: DINO ViT-S, linear


def test_compare_is_paired(results: Path) -> None:
    (row,) = ssl_bench("compare", "raw_pixels", "random_vits16", "--results", results, "--json").json
    assert row["difference"] == pytest.approx(-20)
    assert row["p_value"] == pytest.approx(2 * 0.5**20)  # exact McNemar: 20 against 0


def test_compare_takes_many_models_or_one_reference(results: Path) -> None:
    Store(results).save(
        make_record("mae_vitb16", "knn_digits", 70.0, n_test=100),
        {"index": np.arange(100), "label": np.zeros(100, int), "prediction": np.arange(100) % 10 // 7},
    )
    rows = ssl_bench("compare", "*", "--results", results, "--json").json
    assert len(rows) == 3
    assert all(row["p_adjusted"] >= row["p_value"] for row in rows)
    rows = ssl_bench("compare", "*", "--reference", "mae_vitb16", "--results", results, "--json").json
    assert {row["model_b"] for row in rows} == {"mae_vitb16"}
    shown = ssl_bench("compare", "raw_pixels,random_vits16", "--results", results)
    assert "-20.00" in shown.out
    assert "2e-06" in shown.out
    assert "smallest difference" in shown.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["table", "--table", "2"], "--table needs --paper"),
        (["table", "--paper", "dinoo"], "dino"),
        (["table", "--paper", "dino", "--table", "99"], "2"),
        (["table", "--format", "word"], "latex"),
        (["compare", "raw_pixels", "nobody"], "nobody"),
        (["compare", "raw_pixels"], "needs two models"),
    ],
)
def test_wrong_arguments(results: Path, arguments: list[str], says: str) -> None:
    done = ssl_bench(*arguments, "--results", results)
    assert done.code == 2
    assert says in done.err


def test_leaderboard_names_records_that_it_leaves_out(results: Path, tmp_path: Path) -> None:
    path = next(results.glob("*/*/*.json"))
    record = json.loads(path.read_text())
    record["metrics"]["top1"] = 99.9
    path.write_text(json.dumps(record))
    done = ssl_bench("leaderboard", "--results", results, "--out", tmp_path / "site")
    assert done.code == 0
    assert path.name in done.err.replace("\n", "")
    page = (tmp_path / "site" / "index.html").read_text()
    assert "99.9" not in page
