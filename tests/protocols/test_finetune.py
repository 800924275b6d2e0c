"""Fine-tuning from images to the outcome."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from protocols.finetune_toys import backbone, compute, dataset, split
from trained_backbone import trained_backbone

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.builders import load_dataset
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.splits import ArraySplit
from ssl_bench.errors import DataError, SettingsError
from ssl_bench.protocols.finetune import run as run_module
from ssl_bench.protocols.finetune.finetune import FineTune, FineTuneSettings
from ssl_bench.protocols.protocol import Outcome
from ssl_bench.registry import registry
from ssl_bench.settings import resolve
from ssl_bench.training import supervised

SHORT = {
    "recipe": "mae", "epochs": 4, "batch_size": 16, "lr": 0.05, "warmup_epochs": 0.5, "crop_scale": (0.5, 1.0), "crop_ratio": 1.0,
}  # fmt: skip


def finetune(given: dict[str, Any], made: Compute, data: Dataset | None = None, net: Backbone | None = None) -> Outcome:
    settings = resolve(FineTuneSettings, {**SHORT, **given}, "finetune")
    net = net or backbone()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    outcome = FineTune().evaluate(net, data or dataset(), settings, made)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert not net.training
    assert not any(parameter.requires_grad for parameter in net.parameters())
    return outcome


@pytest.mark.parametrize(("task", "kind", "margin"), [
    ("finetune_shapes", "resnet", 25), ("finetune_shapes", "vit", 5), ("finetune_digits", "vit", 12),
])  # fmt: skip
def test_a_trained_backbone_fine_tunes_better_than_an_untrained_one(
    task: str, kind: str, margin: float, tmp_path: Path
) -> None:
    card = registry().task(task)
    data = load_dataset(card.dataset)
    settings = resolve(FineTuneSettings, card.settings, "finetune")
    made = compute(tmp_path)
    trained, untrained = (FineTune().evaluate(trained_backbone(kind, t), data, settings, made) for t in (True, False))
    assert trained.metrics["top1"] > untrained.metrics["top1"] + margin
    assert trained.interval is not None
    assert trained.interval.low <= trained.metrics["top1"] <= trained.interval.high
    assert not list((tmp_path / "cache").rglob("*.pt"))


def test_the_outcome(tmp_path: Path) -> None:
    data = dataset(classes=7, train=70, test=35)
    outcome = finetune({"mixup": 0, "cutmix": 0, "epochs": 8}, compute(tmp_path), data)
    found = outcome.predictions
    assert found is not None
    assert found.index.tolist() == list(range(35))
    assert np.array_equal(found.label, data.test.labels)
    right = found.prediction == found.label
    assert outcome.metrics["top1"] == pytest.approx(100 * right.mean())
    assert outcome.metrics["mean_per_class"] == pytest.approx(
        100 * np.mean([right[found.label == c].mean() for c in range(7)])
    )
    assert outcome.metrics["top1"] < outcome.metrics["top5"] <= 100
    assert outcome.selection == "fixed"
    assert (outcome.details["batch"], outcome.details["updates"]) == (16, 32)
    assert outcome.details["recipe_name"] == "mae"
    assert outcome.details["recipe"]["lr"] == 0.05
    assert outcome.details["lr_used"] == pytest.approx(0.05 / 16)
    assert outcome.details["feature"] == "mean_norm"


def test_few_classes_have_no_top5_and_the_data_sets_metric_leads(tmp_path: Path) -> None:
    outcome = finetune({}, compute(tmp_path), dataset(metric="mean_per_class"))
    assert "top5" not in outcome.metrics
    assert outcome.primary == "mean_per_class"
    assert outcome.interval is not None
    assert outcome.interval.kind == "wilson over classes"


def test_an_interrupted_run_ends_with_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"ema": 0.9, "drop_path": 0.2, "randaugment": "rand-m9-mstd0.5-inc1", "repeats": 3}
    whole = finetune(given, compute(tmp_path / "a"))
    update, done = supervised._Run._update, []

    def stopped(self: Any, stream: Any) -> Any:
        done.append(self.step)
        if self.step == 7:
            raise KeyboardInterrupt
        return update(self, stream)

    monkeypatch.setattr(supervised._Run, "_update", stopped)
    monkeypatch.setattr(supervised, "SAVE_EVERY", 2)
    with pytest.raises(KeyboardInterrupt):
        finetune(given, compute(tmp_path / "b"))
    monkeypatch.setattr(supervised._Run, "_update", lambda self, s: (done.append(self.step), update(self, s))[1])
    resumed = finetune(given, compute(tmp_path / "b"))
    assert done == [*range(8), *range(6, 12)]
    assert resumed.metrics == whole.metrics
    assert resumed.predictions is not None
    assert whole.predictions is not None
    assert np.array_equal(resumed.predictions.score, whole.predictions.score)  # the same bits
    assert not list((tmp_path / "b").rglob("*.pt"))


def test_the_seed_decides(tmp_path: Path) -> None:
    scores = []
    for seed in (0, 0, 1):
        found = finetune({"epochs": 1}, compute(tmp_path, seed=seed)).predictions
        assert found is not None
        scores.append(found.score)
    assert np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_weights_and_their_average(tmp_path: Path) -> None:
    """DeiT's script keeps an average and evaluates the weights; the average's metrics stand beside them."""
    given = {"ema": 0.5, "epochs": 2}
    usual = finetune(given, compute(tmp_path))
    other = finetune({**given, "evaluate": "average"}, compute(tmp_path))
    assert usual.metrics["top1"] == other.metrics["top1_weights"]
    assert usual.metrics["top1_average"] == other.metrics["top1"]
    assert "top1_average" not in finetune({"epochs": 1}, compute(tmp_path)).metrics
    with pytest.raises(SettingsError, match="moving average"):
        finetune({"evaluate": "average"}, compute(tmp_path))


def test_a_sweep_chooses_on_held_out_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The candidates never see the test images, nor the held-out ones; a stop costs no finished candidate."""
    trained: list[tuple[int, float, float]] = []
    train = run_module.train

    def counting(net: Any, part: Any, recipe: Any, *rest: Any) -> Any:
        if len(trained) == 3 and not trained.count((0, 0.0, 0.0)):
            trained.append((0, 0.0, 0.0))
            raise KeyboardInterrupt
        trained.append((len(part), recipe.lr, recipe.weight_decay))
        return train(net, part, recipe, *rest)

    monkeypatch.setattr(run_module, "train", counting)
    given = {
        "recipe": "byol_20k", "epochs": 2, "sweep_lr": (1e-7, 0.05), "sweep_weight_decay": (0.0, 1e-4), "held_out": 0.25,
    }  # fmt: skip
    settings = resolve(FineTuneSettings, {**given, "batch_size": 12, "crop_ratio": 1.0}, "finetune")
    data = dataset()
    with pytest.raises(KeyboardInterrupt):
        FineTune().evaluate(backbone(), data, settings, compute(tmp_path))
    outcome = FineTune().evaluate(backbone(), data, settings, compute(tmp_path))
    assert trained[:3] == [(36, 1e-7, 0.0), (36, 1e-7, 1e-4), (36, 0.05, 0.0)]
    assert trained[4:] == [
        (36, 0.05, 1e-4),
        (48, outcome.details["chosen"]["lr"], outcome.details["recipe"]["weight_decay"]),
    ]
    assert outcome.selection == "held_out"
    assert outcome.details["chosen"]["lr"] == 0.05
    assert len(outcome.details["sweep"]) == 4
    assert not list((tmp_path / "cache").rglob("*.pt"))


def test_validation_images_choose_and_are_then_trained_on(tmp_path: Path) -> None:
    data = dataset(val=15)
    outcome = finetune({"sweep_lr": (0.01, 0.05)}, compute(tmp_path), data)
    assert outcome.details["training_images"] == 63
    assert finetune({}, compute(tmp_path), data).details["training_images"] == 63
    assert finetune({"with_val": False}, compute(tmp_path), data).details["training_images"] == 48
    same = replace(data, val=data.test)  # a folder with no test: its validation images are the test
    assert finetune({}, compute(tmp_path), same).details["training_images"] == 48


@pytest.mark.parametrize("labels", [[0, 1, 5, 2], [0, -1, 1, 2]])
def test_labels_outside_the_classes(labels: list[int], tmp_path: Path) -> None:
    bad = ArraySplit(split(4, 0).array(), np.array(labels), ("a", "b", "c"))
    with pytest.raises(DataError, match="3 classes"):
        finetune({}, compute(tmp_path), Dataset("bad", bad, bad))


def test_one_class_is_no_classification(tmp_path: Path) -> None:
    one = ArraySplit(split(4, 0).array(), np.zeros(4), ("a",))
    with pytest.raises(DataError, match="two or more"):
        finetune({}, compute(tmp_path), Dataset("bad", one, one))


def test_a_resnet_has_no_place_for_drop_path(tmp_path: Path) -> None:
    net = backbone("resnet_small32", width=4)
    outcome = finetune({"epochs": 1}, compute(tmp_path), net=net)
    assert outcome.details["feature"] == "default"
    assert outcome.details["note"].endswith("no place for it: drop path, layer decay")
    assert "note" not in finetune({"epochs": 1}, compute(tmp_path)).details


@pytest.mark.parametrize("bad", [
    {"recipe": "vgg"}, {"lr": 0.0}, {"layer_decay": 1.5}, {"mixup": -1}, {"feature": "pixels"}, {"drop_path": 1.0}, {"epoch": 3},
])  # fmt: skip
def test_bad_settings_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        resolve(FineTuneSettings, bad, "finetune")


def test_real_images(shared_data: Path, tmp_path: Path) -> None:
    """CIFAR-10's own pixels by DeiT's recipe (repeated augmentation, mixing, average), shortened to seconds."""
    parts = []
    for name, count in (("train", 3000), ("test", 600)):
        with np.load(shared_data / "cifar10" / f"{name}_exact_subset.npz") as file:
            parts.append(ArraySplit(file["images"][:count], file["labels"][:count], [str(c) for c in range(10)]))
    given = {
        "recipe": "deit", "epochs": 3, "batch_size": 100, "lr": 0.03, "image_size": 32, "warmup_epochs": 0.4, "ema": 0.9,
        "drop_path": 0.0, "randaugment": "", "erasing": 0.1, "crop_scale": (0.5, 1.0), "crop_ratio": 1.0,
    }  # fmt: skip
    net = backbone("resnet_small32", width=8)
    outcome = finetune(given, compute(tmp_path), Dataset("cifar10", *parts), net)
    assert outcome.metrics["top1"] > 20
    assert outcome.metrics["top5"] > 70
    assert outcome.metrics["top1_average"] > 20
