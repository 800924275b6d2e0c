"""``ssl-bench reproduce``: a paper's table of a user's own, planned, run, repeated; what is missing is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command import Done, ssl_bench
from folders import image_folder, plugin

from ssl_bench.registry import PROTOCOLS, registry
from ssl_bench.reporting.reproduction import WITHOUT_DATA

pytestmark = pytest.mark.usefixtures("fresh_registry")
PAPER = """
paper: {title: Colours, authors: A. Author}
tables:
  Table 1:
    columns:
      - {protocol: knn, dataset: Colours, metric: top1, label: k-NN, task: "knn_imagefolder:colours"}
      - {protocol: low_shot, dataset: Colours, metric: top1, label: 1 image, task: "low_shot_1_imagefolder:colours"}
      - {protocol: knn, dataset: Elsewhere, metric: top1, label: Elsewhere, task: "knn_imagefolder:elsewhere"}
      - {protocol: kite, dataset: Sky, metric: top1, label: Kite}
    rows:
      - {method: Colour, arch: mean, model: colour, values: [100.0, 20.0, 90.0, 50.0]}
      - {method: Colour, arch: other weights, model: colour, differs: trained longer, values: [99.0, null, null, null]}
      - {method: DINO, arch: ViT-S/16, model: dino_vits16, values: [98.0, null, null, null]}
      - {method: SimCLR, arch: RN50, model: simclr_resnet50, values: [97.0, null, null, null]}
      - {method: Ablation, arch: mean, values: [96.0, null, null, null]}
  Table 2:
    columns: [{protocol: knn, dataset: Sky, metric: top1}]
    rows: [{method: Colour, arch: mean, values: [1.0]}]
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    image_folder(tmp_path / "data")
    plugin(tmp_path)
    (tmp_path / "colours.yaml").write_text(PAPER)
    return tmp_path


def reproduce(place: Path, *more: object, verb: tuple[object, ...] = ("reproduce", "colours")) -> Done:
    from ssl_bench import registry

    registry.registry.cache_clear()
    registry._CURRENT.clear()
    folders = ["--results", place / "results"]
    folders += ["--data-root", place / "data"] if verb[0] == "reproduce" else []
    include = ["--include", place / "colour_plugin.py", "--include", place / "colours.yaml"]
    return ssl_bench(*verb, *folders, *include, *more)


def test_the_plan_names_what_is_missing_and_runs_nothing(place: Path) -> None:
    done = reproduce(place, "--dry-run", "--json")
    assert done.code == 0
    found = {(row["row"], row["column"]): (row["state"], row["about"]) for row in done.json}
    assert len(found) == 8
    assert found["Colour mean", "k-NN"] == found["Colour mean", "1 image"] == ("to run", "")
    assert found["Colour mean", "Kite"] == ("missing", "no task here measures this")
    assert found["Colour other weights", "k-NN"] == ("missing", "trained longer")
    assert found["DINO ViT-S/16", "k-NN"] == ("missing", "weights are not here, and the network is forbidden")
    assert "--weights PATH" in found["SimCLR RN50", "k-NN"][1]
    assert found["Ablation mean", "k-NN"] == ("missing", "no model here is this one")
    state, about = found["Colour mean", "Elsewhere"]
    assert state == "missing"
    assert about.startswith("data: There is no folder")
    assert not (place / "results").exists()


def test_weights_that_can_be_fetched_are_planned(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_BENCH_OFFLINE", "")
    monkeypatch.setenv("HF_HUB_OFFLINE", "")
    rows = reproduce(place, "--dry-run", "--json").json
    assert [(r["state"], r["about"]) for r in rows if r["model"] == "dino_vits16"] == [
        ("to run", "weights will be fetched")
    ]


def test_cells_are_run_once_and_the_table_is_shown(place: Path) -> None:
    done = reproduce(place)
    assert done.code == 0, done.err
    assert "8 cells: 0 measured, 2 to run, 6 missing." in done.err
    assert "2 new, 0 found, 0 failed" in done.err
    assert "Of 8 printed numbers 1 reproduced, 1 deviating, 6 not measured" in " ".join(done.out.split())
    assert len(list((place / "results").glob("*/*/*.json"))) == 2
    again = reproduce(place, "--json")
    assert "2 measured, 0 to run, 6 missing" in again.err
    verdicts = {(row["row"], row["column"]): row["verdict"] for row in again.json["rows"]}
    assert verdicts["Colour mean", "k-NN"] == "reproduced"
    assert verdicts["Colour mean", "1 image"] == "deviates"
    assert verdicts["Colour other weights", "k-NN"] == "not measured"
    listed = reproduce(place, "--json", verb=("list", "papers")).json
    (row,) = [row for row in listed if row["paper"] == "colours"]
    assert (row["numbers"], row["measurable"], row["measured"]) == (9, 5, 2)


def test_models_and_tasks_can_be_chosen_and_cells_forced(place: Path) -> None:
    assert "1 to run" in reproduce(place, "--tasks", "knn_imagefolder:colours", "--models", "colour").err
    forced = reproduce(place, "--tasks", "knn_imagefolder:colours", "--models", "col*", "--force")
    assert "1 to run" in forced.err
    assert "1 new" in forced.err


def test_a_partial_record_does_not_count_as_measured(place: Path) -> None:
    run = (
        "run",
        "--model",
        "colour",
        "--task",
        "knn_imagefolder:colours",
        "--limit",
        "3",
        "--data-root",
        place / "data",
    )
    assert reproduce(place, verb=run).code == 0
    assert "0 measured, 2 to run" in reproduce(place).err


def test_a_failing_cell_does_not_stop_the_others(place: Path) -> None:
    (place / "data" / "colours" / "val" / "red" / "broken.png").write_bytes(b"no picture")
    done = reproduce(place)
    assert done.code == 2
    assert "0 new, 0 found, 2 failed" in done.err


def test_wrong_names_are_errors(place: Path) -> None:
    assert "no table '7'" in reproduce(place, "--table", "7").err
    done = reproduce(place, verb=("reproduce", "colour"))
    assert done.code == 2
    assert "Did you mean: colours" in done.err
    assert reproduce(place, "--models", "nobody").code == 2


def test_a_table_of_which_nothing_can_be_run_is_still_shown(place: Path) -> None:
    done = reproduce(place, "--table", "2")
    assert done.code == 0
    assert "1 cells: 0 measured, 0 to run, 1 missing." in done.err
    assert "(1.0)" in done.out


def test_protocols_without_data_are_those_whose_code_says_so() -> None:
    known = registry()
    assert {name for name in PROTOCOLS if not known.protocols.get(name).needs_data} == WITHOUT_DATA


@pytest.mark.parametrize(
    "arguments", [["reproduce", "dino", "--table", "2", "--dry-run"], ["list", "papers"], ["table", "--paper", "msn"]]
)
def test_planning_and_listing_import_no_torch(arguments: list[str]) -> None:
    code = (
        "import sys; sys.argv = ['ssl-bench', *sys.argv[1:]]\n"
        "from ssl_bench.cli.app import main\n"
        "try: main()\n"
        "finally: sys.stderr.write('TORCH ' + str('torch' in sys.modules) + '\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "TORCH False"
