"""The loop on the toy method: what it writes, warns of and refuses."""

from __future__ import annotations

import errno
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from sklearn.neighbors import KNeighborsClassifier
from torch import nn
from training_toys import Toy, register, toy_data, toy_recipe

from ssl_bench.backbones.archs import build
from ssl_bench.backbones.load import load_model
from ssl_bench.compute import Compute
from ssl_bench.errors import SettingsError, StoreError, TrainingError
from ssl_bench.model_files import read_recipes
from ssl_bench.progress import Silent
from ssl_bench.registry import registry
from ssl_bench.training import loop
from ssl_bench.training.collapse import CollapseMonitor, feature_std
from ssl_bench.training.embed import evaluation_mode
from ssl_bench.training.log import Log, read_log
from ssl_bench.training.loop import build_method, train
from ssl_bench.training.online_knn import knn_top1
from ssl_bench.training.plan import Plan


@pytest.fixture(autouse=True)
def _toy(fresh_registry: None) -> None:
    register()


def test_run_writes_weights_card_recipe_and_log(tmp_path: Path) -> None:
    recipe = toy_recipe(online_knn_every=2, seed=3, notes="none")
    rows: list[dict[str, float]] = []
    result = train(recipe, Compute(), tmp_path, dataset=toy_data(), log=rows.append)
    assert (result.card, result.name, result.steps) == (tmp_path / "card.yaml", "toy_small", 9)

    backbone = load_model(str(result.card))
    assert backbone.weights is not None
    assert backbone.weights.matched == backbone.weights.total == len(build(recipe.arch, recipe.arch_args).state_dict())
    assert backbone.preprocess.card == recipe.preprocess
    trained = load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(value.float(), trained[name].float()) for name, value in _state(backbone).items())

    assert read_recipes(tmp_path / "recipe.yaml") == [recipe]
    card = yaml.safe_load(result.card.read_text())["models"]["toy_small"]
    assert card["pretrain"] == {"dataset": "toys", "labels": "none", "epochs": 3}
    assert "seed 3" in card["notes"]

    logged = read_log(tmp_path / "log.csv")
    assert [row["step"] for row in logged] == [row["step"] for row in rows] == list(range(1, 10))
    assert [row["epoch"] for row in logged] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert logged[0]["lr"] == 0.01
    assert [math.isnan(row["knn_top1"]) for row in logged] == [True] * 5 + [False, True, True, False]
    assert [math.isnan(row["feature_std"]) for row in logged] == [True, True, False] * 3
    assert result.metrics["loss"] == pytest.approx(logged[-1]["loss"])
    assert result.metrics["knn_top1"] == 100


def _state(backbone: nn.Module) -> dict[str, torch.Tensor]:
    """State of the network inside the backbone, under its own names."""
    names = load_names(backbone)
    return {name: backbone.state_dict()[full] for name, full in names.items()}


def load_names(backbone: nn.Module) -> dict[str, str]:
    own = build("resnet_small32", {"width": 4}).state_dict()
    return {name: next(full for full in backbone.state_dict() if full.endswith(name)) for name in own}


def test_training_lowers_the_loss_and_moves_weights_and_buffers(tmp_path: Path) -> None:
    recipe = toy_recipe(epochs=8)
    result = train(recipe, Compute(), tmp_path, dataset=toy_data())
    log = read_log(tmp_path / "log.csv")
    assert result.metrics["loss"] < log[0]["loss"]
    start, _ = build_method(recipe, Plan(recipe, 30), Compute())
    trained = load_file(tmp_path / "model.safetensors")
    assert not torch.equal(start.encoder.state_dict()["conv1.weight"], trained["conv1.weight"])
    assert trained["bn1.num_batches_tracked"] == 2 * 24


def test_one_step_is_gradient_descent_on_the_mean_over_micro_batches(tmp_path: Path) -> None:
    """Two micro-batches of 4, plain SGD: p - lr (g1 + g2) / 2, restated from the views and seeds."""
    from ssl_bench.training.batches import batches, generator

    optimizer = {"name": "sgd", "lr": 0.5, "lr_batch": None, "momentum": 0.0}
    recipe = toy_recipe(batch_size=4, accumulate=2, epochs=1, optimizer=optimizer, settings={"noise": 0.2})
    data, plan = toy_data(8), Plan(recipe, 8)
    method, specs = build_method(recipe, plan, Compute())
    method.train()
    torch.manual_seed(generator("step", 0, 0, 0).initial_seed())
    loss = sum(method(views, 0)["loss"] for views in batches(plan, data.train, specs, Compute())) / 2
    loss.backward()
    expected = {name: p - 0.5 * p.grad for name, p in method.encoder.named_parameters()}

    result = train(recipe, Compute(), tmp_path, dataset=data)
    trained = load_file(tmp_path / "model.safetensors")
    assert result.metrics["loss"] == pytest.approx(loss.item(), rel=1e-5)
    for name, value in expected.items():
        torch.testing.assert_close(trained[name], value, rtol=1e-5, atol=1e-6)


def test_not_finite_loss_stops_names_the_step_and_keeps_the_last_state(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"loss of step 7 \(epoch 2\) is nan"):
        train(toy_recipe(settings={"break_at": 7}), Compute(), tmp_path, dataset=toy_data())
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["progressed"]["step"] == 6
    assert all(value.isfinite().all() for value in state["method"].values())
    assert not (tmp_path / "card.yaml").exists()


@pytest.mark.parametrize("optimizer", ["sgd", "lars", "lamb"])
def test_every_optimiser_and_bf16_train(tmp_path: Path, optimizer: str) -> None:
    recipe = toy_recipe(epochs=1, precision="bf16", optimizer={"name": optimizer, "lr": 0.1, "clip": 1.0})
    result = train(recipe, Compute(), tmp_path, dataset=toy_data())
    assert math.isfinite(result.metrics["loss"])
    assert load_file(tmp_path / "model.safetensors")["conv1.weight"].dtype == torch.float32


def test_fp16_needs_cuda(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="fp16 needs CUDA"):
        train(toy_recipe(precision="fp16"), Compute(), tmp_path, dataset=toy_data())


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("augment", ["pil", "batched"])
def test_training_on_a_gpu(tmp_path: Path, precision: str, augment: str) -> None:
    recipe = toy_recipe(precision=precision, augment=augment, epochs=4)
    compute = Compute(device=torch.device("cuda", 0))
    result = train(recipe, compute, tmp_path, dataset=toy_data())
    assert result.metrics["loss"] < read_log(tmp_path / "log.csv")[0]["loss"]
    assert load_file(tmp_path / "model.safetensors")["conv1.weight"].isfinite().all()


def test_unknown_method_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="method toy has no such setting"):
        train(toy_recipe(settings={"temprature": 1}), Compute(), tmp_path, dataset=toy_data())


def test_full_disk_keeps_the_previous_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, saves = torch.save, []

    def save(state: Any, file: Any) -> None:
        saves.append(1)
        if len(saves) == 2:
            file.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(state, file)

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(StoreError, match=r"state\.pt: cannot be written: No space left"):
        train(toy_recipe(), Compute(), tmp_path, dataset=toy_data())
    assert torch.load(tmp_path / "state.pt", weights_only=True)["progressed"]["step"] == 3
    assert not list(tmp_path.glob("*tmp"))
    assert train(toy_recipe(), Compute(), tmp_path, dataset=toy_data()).steps == 9


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        train(toy_recipe(), Compute(), tmp_path / "file" / "run", dataset=toy_data())


class Collapsing(Toy):
    """Everything goes to one vector."""

    def projections(self, features: torch.Tensor) -> torch.Tensor:
        return torch.ones(len(features), 4) + 1e-4 * features[:, :4]


def test_collapse_warns_once_and_monitoring_does_not_touch_training(tmp_path: Path) -> None:
    registry().methods.add("collapsing", lambda: Collapsing, "tests")
    progress = Silent()
    recipe = toy_recipe(method="collapsing", epochs=4)
    result = train(recipe, Compute(progress=progress), tmp_path / "a", dataset=toy_data())
    assert len(progress.notes) == 1
    assert "Epoch 1" in progress.notes[0]
    assert "collapse" in progress.notes[0]
    assert result.metrics["projection_std"] < 1e-2
    train(toy_recipe(epochs=4, online_knn_every=1), Compute(), tmp_path / "b", dataset=toy_data())
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_feature_std_of_a_sphere_is_healthy_and_of_one_point_is_zero() -> None:
    torch.manual_seed(0)
    assert feature_std(torch.randn(20000, 64)) == pytest.approx(1 / 8, rel=0.01)
    assert feature_std(torch.ones(50, 64) * torch.rand(50, 1)) == pytest.approx(0, abs=1e-6)


def test_monitor_waits_for_two_epochs_in_a_row() -> None:
    monitor = CollapseMonitor()
    healthy, low = 1 / 8, 0.1 / 8
    said = [monitor.check(std, 64, epoch) for epoch, std in enumerate([low, healthy, low, low, low, healthy, low, low])]
    assert [epoch for epoch, message in enumerate(said) if message] == [3, 7]
    assert CollapseMonitor(low_epochs=1).check(low, 64, 9) is not None


def test_evaluation_mode_restores_every_part() -> None:
    net = nn.Sequential(nn.BatchNorm1d(2), nn.Sequential(nn.Dropout()))
    net[0].eval()
    with evaluation_mode(net):
        assert not any(part.training for part in net.modules())
    assert [part.training for part in net.modules()] == [True, False, True, True]


def test_online_knn_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 300)
    x = np.eye(4)[labels] + rng.normal(0, 0.8, (300, 4))
    weigh = {"weights": lambda d: np.exp((1 - d) / 0.07), "metric": "cosine", "algorithm": "brute"}
    reference = KNeighborsClassifier(20, **weigh).fit(x[:200], labels[:200])
    tensors = [torch.tensor(part) for part in (x[:200], labels[:200], x[200:], labels[200:])]
    assert knn_top1(*tensors) == pytest.approx(100 * reference.score(x[200:], labels[200:]))


def test_log_goes_on_after_the_step_and_drops_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    log = Log(path, 0)
    for step in (1, 2, 3):
        log.add({"step": step, "epoch": 0, "lr": 0.1, "loss": 1 / step, "accuracy": step / 2})
    path.write_text(path.read_text() + "4,0,0.1,,0.2")
    assert [row["step"] for row in read_log(path)] == [1, 2, 3]
    log = Log(path, 2)
    log.add({"step": 3, "epoch": 0, "lr": 0.1, "loss": 9.0, "accuracy": 0.0, "feature_std": 0.5})
    rows = read_log(path)
    assert [(row["step"], row["loss"], row["accuracy"]) for row in rows] == [(1, 1, 0.5), (2, 0.5, 1), (3, 9, 0)]
    assert Log(path, 0).columns == []


def test_rows_are_thinned_in_long_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "ROWS_PER_EPOCH", 2)
    train(toy_recipe(batch_size=6, epochs=2), Compute(), tmp_path, dataset=toy_data())
    assert [row["step"] for row in read_log(tmp_path / "log.csv")] == [1, 4, 5, 6, 9, 10]
