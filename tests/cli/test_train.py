"""``ssl-bench train``: what it leaves can be evaluated at once, and the same command goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import ssl_bench

pytestmark = pytest.mark.usefixtures("fresh_registry")
SMALL = ("--method", "simclr", "--arch", "resnet_small32", "--dataset", "digits", "--set", "arch_args.width=4")


def test_a_trained_checkpoint_is_a_model(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "mine"
    done = ssl_bench("train", *SMALL, "--epochs", 1, "--batch-size", 650, "--seed", 3, "--out", out, "--json")
    assert done.code == 0, done.err
    assert done.json["card"] == str(out / "card.yaml")
    assert done.json["steps"] == 2
    ran = ssl_bench(
        *("run", "--model", done.json["card"], "--task", "knn_digits", "--results", tmp_path / "results", "--json")
    )
    assert ran.code == 0, ran.err
    (record,) = ran.json
    assert record["model"] == "simclr_resnet_small32_digits"
    assert record["weights"]["matched"] == record["weights"]["total"]
    assert record["method"] == "simclr"


def test_the_same_command_goes_on_and_a_recipe_file_repeats_the_run(tmp_path: Path) -> None:
    command = ("train", *SMALL, "--epochs", 2, "--batch-size", 650, "--json", "--out")
    assert ssl_bench(*command, tmp_path / "a").json["steps"] == 4
    again = ssl_bench(*command, tmp_path / "a")
    assert again.json["steps"] == 4
    repeated = ssl_bench("train", tmp_path / "a" / "recipe.yaml", "--out", tmp_path / "b", "--json")
    assert repeated.code == 0, repeated.err
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]
    other = ssl_bench(*command, tmp_path / "a", "--lr", 0.5)
    assert other.code == 2
    assert "optimizer" in other.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Give either a recipe or --method"),
        (["simclr_smal_placed_digits"], "simclr_small_placed_digits"),
        (["--method", "simclr"], "--method needs --dataset"),
        (["--method", "simclrr", "--dataset", "digits"], "simclr"),
        (["--method", "simclr", "--dataset", "digitz"], "digits"),
        (["--method", "simclr", "--dataset", "digits", "--arch", "resnet_smal32"], "resnet_small32"),
        (["--method", "simclr", "--dataset", "digits", "--set", "temperatur=1"], "temperature"),
        (["--method", "simclr", "--dataset", "digits", "--set", "temperature=-1"], "temperature"),
        (["--method", "simclr", "--dataset", "digits", "--batch-size", "5000"], "5000"),
        (["nowhere/recipe.yaml"], "nowhere/recipe.yaml"),
    ],
)
def test_wrong_arguments(tmp_path: Path, arguments: list[str], says: str) -> None:
    done = ssl_bench("train", *arguments, "--out", tmp_path / "out")
    assert done.code == 2, done.err
    assert says in done.err.replace("\n", " ")
    assert not (tmp_path / "out" / "card.yaml").exists()


def test_two_processes_train_one_model(tmp_path: Path) -> None:
    """As ``torchrun`` starts them: one card, one voice."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "ssl_bench", "train", *SMALL, "--epochs", "1", "--batch-size", "325", "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--out", tmp_path / "run"], capture_output=True, text=True, check=False, env=environment, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Evaluate it:") == 1
    assert (tmp_path / "run" / "card.yaml").is_file()
    assert len((tmp_path / "run" / "log.csv").read_text().splitlines()) == 3
