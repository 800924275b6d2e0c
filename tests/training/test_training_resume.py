"""Interrupted and resumed training ends with the same bits as uninterrupted training."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_toys import kill_recipe, register, toy_data, toy_recipe

from ssl_bench.compute import Compute
from ssl_bench.errors import TrainingError
from ssl_bench.progress import Silent
from ssl_bench.training.log import read_log
from ssl_bench.training.loop import train


@pytest.fixture(autouse=True)
def _toy(fresh_registry: None) -> None:
    register()


@pytest.fixture
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(before)


@pytest.mark.parametrize("augment", ["batched", "pil"])
@pytest.mark.usefixtures("_one_thread")
def test_killed_and_resumed_run_has_the_same_bits(tmp_path: Path, augment: str) -> None:
    """30 images in steps of 8: 3 steps an epoch, 12 in all; the kill comes in the middle of the third epoch."""
    recipe = kill_recipe(augment)
    train(recipe, Compute(), tmp_path / "whole", dataset=toy_data())
    script = Path(__file__).parent / "training_toys.py"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(tmp_path / "killed"), "8", augment]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    saved = torch.load(tmp_path / "killed" / "state.pt", weights_only=True)
    assert saved["progressed"]["step"] == 6
    train(recipe, Compute(), tmp_path / "killed", dataset=toy_data())

    whole, killed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert whole.keys() == killed.keys()
    assert all(torch.equal(whole[key], killed[key]) for key in whole)
    states = [torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("whole", "killed")]
    assert all(torch.equal(states[0]["method"][key], value) for key, value in states[1]["method"].items())
    assert states[1]["method"]["seen"] == 12
    rows = [read_log(tmp_path / name / "log.csv") for name in ("whole", "killed")]
    compared = [[(r["step"], r["loss"], r["lr"], r["weight_decay"]) for r in log] for log in rows]
    assert compared[0] == compared[1]
    assert [r["step"] for r in rows[1]] == list(range(1, 13))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_at_the_next_step_and_the_run_goes_on(tmp_path: Path, number: int) -> None:
    expected = load_file(
        train(toy_recipe(), Compute(), tmp_path / "whole", dataset=toy_data()).card.parent / "model.safetensors"
    )

    def ask(row: dict[str, float]) -> None:
        if row["step"] == 4:
            os.kill(os.getpid(), number)

    progress, before = Silent(), signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        train(toy_recipe(), Compute(progress=progress), tmp_path / "run", dataset=toy_data(), log=ask)
    assert "step 4" in progress.notes[-1]
    assert signal.getsignal(number) is before
    assert torch.load(tmp_path / "run" / "state.pt", weights_only=True)["progressed"]["step"] == 4
    steps: list[float] = []
    result = train(
        toy_recipe(), Compute(), tmp_path / "run", dataset=toy_data(), log=lambda row: steps.append(row["step"])
    )
    assert steps == [5, 6, 7, 8, 9]
    weights = load_file(result.card.parent / "model.safetensors")
    assert all(torch.equal(expected[key], weights[key]) for key in expected)


def test_finished_run_returns_without_a_step(tmp_path: Path) -> None:
    first = train(toy_recipe(), Compute(), tmp_path, dataset=toy_data())
    again = train(toy_recipe(), Compute(), tmp_path, dataset=toy_data(), log=lambda row: pytest.fail("trained again"))
    assert again == first


def test_other_recipe_in_the_same_folder_is_refused_and_named(tmp_path: Path) -> None:
    train(toy_recipe(epochs=1), Compute(), tmp_path, dataset=toy_data())
    other = toy_recipe(epochs=2, optimizer={"name": "sgd", "lr": 0.5}, settings={"noise": 0.3})
    with pytest.raises(TrainingError) as error:
        train(other, Compute(), tmp_path, dataset=toy_data())
    for said in ("epochs: 1 there, 2 asked for", "optimizer.lr: 0.01 there, 0.5", "optimizer.name", "settings.noise"):
        assert said in error.value.message
    assert "batch_size" not in error.value.message
    with pytest.raises(TrainingError, match="number of images: 30 there, 33 asked for"):
        train(toy_recipe(epochs=1), Compute(), tmp_path, dataset=toy_data(33))
    train(toy_recipe(epochs=1, notes="other notes"), Compute(), tmp_path, dataset=toy_data())


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"nonsense"])
def test_damaged_state_is_named(tmp_path: Path, damage: object) -> None:
    train(toy_recipe(epochs=1), Compute(), tmp_path, dataset=toy_data())
    state = tmp_path / "state.pt"
    state.write_bytes(damage(state.read_bytes()))  # type: ignore[operator]
    with pytest.raises(TrainingError, match=r"state\.pt: is not a training state"):
        train(toy_recipe(epochs=1), Compute(), tmp_path, dataset=toy_data())


def test_two_runs_in_one_folder_are_kept_apart(tmp_path: Path) -> None:
    def second(row: dict[str, float]) -> None:
        with pytest.raises(TrainingError, match="Another process is training"):
            train(toy_recipe(), Compute(), tmp_path, dataset=toy_data())

    train(toy_recipe(epochs=1), Compute(), tmp_path, dataset=toy_data(), log=second)


def test_seed_changes_the_run_and_the_callers_random_state_stays(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    losses = [
        train(toy_recipe(epochs=1, seed=seed), Compute(), tmp_path / name, dataset=toy_data()).metrics["loss"]
        for seed, name in ((0, "a"), (0, "b"), (1, "c"))
    ]
    assert losses[0] == losses[1] != losses[2]
    assert torch.equal(torch.rand(3), expected)
