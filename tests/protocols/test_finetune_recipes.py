"""The numbers of the papers and scripts, restated from the fact sheets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from protocols.finetune_toys import TINY, backbone, dataset

from ssl_bench.errors import SettingsError
from ssl_bench.protocols.finetune import finetune, semi
from ssl_bench.protocols.finetune.finetune import FineTuneSettings
from ssl_bench.protocols.finetune.plan import Plan
from ssl_bench.protocols.finetune.recipe import size_of
from ssl_bench.registry import registry

RANDAUGMENT = "rand-m9-mstd0.5-inc1"
MIXED = {"mixup": 0.8, "cutmix": 1.0, "smoothing": 0.1, "randaugment": RANDAUGMENT}
MAE = {
    **MIXED, "batch_size": 1024, "lr_batch": 256, "weight_decay": 0.05, "warmup_epochs": 5, "warmup_lr": 0.0,
    "min_lr": 1e-6, "erasing": 0.25, "feature": "mean_norm", "head_std": 2e-5, "interpolation": "bicubic", "ema": None,
}  # fmt: skip
BEIT = {**MIXED, "batch_size": 1024, "lr_batch": None, "weight_decay": 0.05}
BEIT_22K = {**MIXED, "batch_size": 512, "lr_batch": None, "epochs": 30, "lr": 2e-5, "weight_decay": 1e-8}
DEIT = {
    **MIXED, "batch_size": 768, "lr_batch": 512, "weight_decay": 0.05, "warmup_epochs": 5, "min_lr": 1e-5,
    "drop_path": 0.1, "repeats": 3, "ema": 0.99996, "layer_decay": 1.0, "schedule": "cosine_timm",
}  # fmt: skip
MOCO = {
    "batch_size": 1024, "lr_batch": 512, "epochs": 100, "lr": 3e-4, "warmup_epochs": 3, "repeats": 1,
    "crop_scale": (0.05, 1.0), "interpolation": "bilinear",
}  # fmt: skip
SHEET: list[tuple[str, str, str, dict[str, Any]]] = [
    ("mae", "base", "imagenet", {**MAE, "epochs": 100, "lr": 5e-4, "layer_decay": 0.65, "drop_path": 0.1}),
    ("mae", "large", "imagenet", {**MAE, "epochs": 50, "lr": 1e-3, "layer_decay": 0.75, "drop_path": 0.2}),
    ("mae", "huge", "imagenet", {**MAE, "epochs": 50, "lr": 1e-3, "layer_decay": 0.75, "drop_path": 0.3}),
    ("beit", "base", "imagenet", {**BEIT, "epochs": 100, "lr": 4e-3, "warmup_epochs": 20, "layer_decay": 0.65, "drop_path": 0.1}),
    ("beit", "large", "imagenet", {**BEIT, "epochs": 50, "lr": 1e-3, "warmup_epochs": 5, "layer_decay": 0.75, "drop_path": 0.2}),
    ("beit_22k", "base", "imagenet", {**BEIT_22K, "layer_decay": 0.85, "drop_path": 0.1}),
    ("beit_22k", "large", "imagenet", {**BEIT_22K, "layer_decay": 0.9, "drop_path": 0.4}),
    ("ibot", "small", "imagenet", {"epochs": 200, "drop_path": 0.1, "layer_decay": 0.75, "warmup_epochs": 20, "feature": "cls"}),
    ("ibot", "base", "imagenet", {"epochs": 100, "drop_path": 0.2, "layer_decay": 0.65, "warmup_epochs": 20, "feature": "cls"}),
    ("ibot", "large", "imagenet", {"epochs": 50, "drop_path": 0.4, "layer_decay": 0.75, "warmup_epochs": 5, "feature": "cls"}),
    ("msn", "base", "imagenet", {"epochs": 100, "batch_size": 1024, "lr": 2e-3, "warmup_epochs": 5, "layer_decay": 0.65, "drop_path": 0.2}),
    ("ijepa", "huge", "imagenet", {"epochs": 50, "batch_size": 528, "lr": 1e-4, "drop_path": 0.25, "weight_decay": 0.04, "layer_decay": 0.75}),
    ("mocov3", "base", "imagenet", {"epochs": 150}),
    ("deit", "base", "imagenet", {**DEIT, "epochs": 300, "lr": 5e-4, "batch_size": 1024}),
    ("deit", "base", "cifar10", {**DEIT, "epochs": 1000, "lr": 7.5e-6}),
    ("deit", "base", "cifar100", {**DEIT, "epochs": 1000, "lr": 7.5e-6}),
    ("deit", "base", "flowers", {**DEIT, "epochs": 1000, "lr": 7.5e-6}),
    ("deit", "base", "cars", {**DEIT, "epochs": 1000, "lr": 7.5e-5}),
    ("deit", "base", "inat18", {**DEIT, "epochs": 360, "lr": 7.5e-6, "erasing": 0.1}),
    ("deit", "small", "inat18", {**DEIT, "epochs": 360, "lr": 5e-5, "erasing": 0.1}),
    ("deit", "base", "inat19", {**DEIT, "epochs": 360, "lr": 7.5e-6, "erasing": 0.1}),
    ("deit", "small", "inat19", {**DEIT, "epochs": 360, "lr": 2.5e-5, "erasing": 0.1}),
    ("msn_transfer", "base", "cifar10", {"epochs": 1000, "batch_size": 768, "lr": 7.5e-5}),
    ("msn_transfer", "small", "inat18", {"epochs": 300, "batch_size": 1024, "lr": 1e-4}),
    ("mocov3_transfer", "base", "cifar10", {**MOCO, "weight_decay": 0.1, "drop_path": 0.1, "mixup": 0.8, "cutmix": 1.0, "erasing": 0.0}),
    ("mocov3_transfer", "base", "cifar100", {**MOCO, "weight_decay": 0.1, "mixup": 0.5, "cutmix": 1.0}),
    ("mocov3_transfer", "base", "flowers", {**MOCO, "weight_decay": 0.3, "mixup": 0.0, "cutmix": 0.0}),
    ("mocov3_transfer", "base", "pets", {**MOCO, "drop_path": 0.0, "mixup": 0.8, "cutmix": 0.0}),
    ("byol_20k", "base", "pets", {"steps": 20_000, "batch_size": 256, "optimizer": "sgd", "nesterov": True, "batch_norm_rule": True}),
]  # fmt: skip
SGD = {"optimizer": "sgd", "weight_decay": 0.0, "mixup": 0.0, "cutmix": 0.0, "randaugment": None, "smoothing": 0.0}
SWAV = {
    **SGD,
    "epochs": 20,
    "batch_size": 256,
    "milestones": (12, 16),
    "drop": 0.2,
    "schedule": "steps",
    "lr_batch": None,
}
SIMCLR = {**SGD, "nesterov": True, "batch_size": 4096, "lr": 0.05, "lr_batch": 256, "head_lr": None, "warmup_epochs": 0}
BARLOW = {**SGD, "epochs": 20, "batch_size": 256, "schedule": "cosine_epoch", "lr_batch": None}
IJEPA = {
    "epochs": 50, "optimizer": "adamw", "batch_size": 512, "layer_decay": 0.75, "smoothing": 0.1, "lr": 3e-5, "mixup": 0,
    "cutmix": 0, "erasing": 0, "drop_path": 0, "randaugment": RANDAUGMENT,
}  # fmt: skip
SEMI_SHEET: list[tuple[str, str, str, dict[str, Any]]] = [
    ("swav", "base", "1", {**SWAV, "lr": 0.02, "head_lr": 5.0}),
    ("swav", "base", "10", {**SWAV, "lr": 0.01, "head_lr": 0.2}),
    ("simclr", "base", "1", {**SIMCLR, "epochs": 60}),
    ("simclr", "base", "10", {**SIMCLR, "epochs": 30}),
    ("byol", "base", "1", {**SGD, "nesterov": True, "batch_size": 1024, "lr_batch": None}),
    ("barlow", "base", "1", {**BARLOW, "lr": 0.005, "head_lr": 0.5}),
    ("vicreg", "base", "1", {**BARLOW, "lr": 0.03, "head_lr": 0.08}),
    ("vicreg", "base", "10", {**BARLOW, "lr": 0.01, "head_lr": 0.1}),
    ("ijepa", "large", "1", {**IJEPA, "weight_decay": 0.05}),
    ("ijepa", "huge", "1", {**IJEPA, "weight_decay": 0.4}),
]
CASES = [(finetune.RECIPES, row) for row in SHEET] + [(semi.RECIPES, row) for row in SEMI_SHEET]


@pytest.mark.parametrize(("recipes", "row"), CASES, ids=["-".join(row[:3]) for _, row in CASES])
def test_the_recipe_is_the_sheets(recipes: dict[str, Any], row: tuple[str, str, str, dict[str, Any]]) -> None:
    name, size, data, expected = row
    found = recipes[name].resolved(size, data)
    assert {field: getattr(found, field) for field in expected} == expected


def test_a_size_that_was_not_trained_takes_its_neighbours_values() -> None:
    assert finetune.RECIPES["mae"].resolved("small", "imagenet").epochs == 100
    assert finetune.RECIPES["ibot"].resolved("huge", "imagenet").layer_decay == 0.75
    assert finetune.RECIPES["ibot"].resolved("huge", "imagenet").epochs == 50


@pytest.mark.parametrize(
    ("width", "size"), [(192, "small"), (384, "small"), (768, "base"), (1024, "large"), (1280, "huge")]
)
def test_sizes_go_by_the_width_of_the_tokens(width: int, size: str) -> None:
    assert size_of(backbone(dim=width, depth=1)) == size


def test_a_resnet_has_the_base_size() -> None:
    assert size_of(backbone("resnet_small32", width=4)) == "base"


@pytest.mark.parametrize(
    ("recipe", "images", "rate"),
    [("mae", 1_281_167, 5e-4 * 4), ("beit", 1_281_167, 4e-3), ("deit", 50_000, 7.5e-6 * 1.5), ("mae", 512, 5e-4 * 2)],
)
def test_the_rate_is_scaled_by_the_batch_that_is_used(recipe: Any, images: int, rate: float) -> None:
    plan = Plan(finetune.RECIPES[recipe].resolved("base", "none"), images)
    assert plan.training().optimizer.lr == pytest.approx(rate)
    assert plan.batch == min(plan.recipe.batch_size, images)


@pytest.mark.parametrize("processes", [1, 2, 8])
def test_the_update_does_not_depend_on_processes(processes: int) -> None:
    plan = Plan(finetune.RECIPES["mae"], 10_000, processes)
    assert (plan.batch, plan.steps_per_epoch, plan.total) == (1024, 9, 900)
    assert plan.forward <= 128
    assert plan.forward * plan.accumulate * processes == 1024


def test_too_few_images_for_the_processes() -> None:
    with pytest.raises(SettingsError, match="too few"):
        Plan(finetune.RECIPES["mae"], 3, 2)


def test_maes_schedule() -> None:
    """lr_sched.py: linear over 5 epochs, then half a cosine to 1e-6, at fractions of epochs."""
    plan = Plan(finetune.RECIPES["mae"], 10_240)
    schedule, rate = plan.training().schedule, 2e-3
    for epoch, step in ((2.5, 25), (5.0, 50), (52.5, 525), (99.9, 999)):
        cosine = 1e-6 + (rate - 1e-6) * 0.5 * (1 + math.cos(math.pi * (epoch - 5) / 95))
        assert rate * schedule.at(step) == pytest.approx(rate * epoch / 5 if epoch < 5 else cosine)


def test_deits_schedule() -> None:
    """timm's cosine: by epochs, over all of them; the warm-up from 1e-6 takes the place of the first five."""
    plan = Plan(finetune.RECIPES["deit"].resolved("base", "cars"), 7_680)
    schedule, rate = plan.training().schedule, 7.5e-5 * 1.5
    for epoch in (0, 3, 5, 400, 999):
        warm = 1e-6 + epoch * (rate - 1e-6) / 5
        expected = warm if epoch < 5 else 1e-5 + 0.5 * (rate - 1e-5) * (1 + math.cos(math.pi * epoch / 1000))
        for step in (0, 9):
            assert rate * schedule.at(10 * epoch + step) == pytest.approx(expected)


def test_swavs_schedule() -> None:
    plan = Plan(semi.RECIPES["swav"], 2_560)
    schedule = plan.training().schedule
    assert [schedule.at(step) for step in (0, 119, 120, 159, 160, 199)] == pytest.approx([1, 1, 0.2, 0.2, 0.04, 0.04])


def test_byols_sweep_and_its_decay() -> None:
    recipe = finetune.RECIPES["byol_20k"]
    assert recipe.sweep["lr"] == pytest.approx([1e-4, 10**-3.5, 1e-3, 10**-2.5, 1e-2, 10**-1.5, 1e-1])
    assert recipe.sweep["weight_decay"] == pytest.approx([0, *np.logspace(-6, -3, 7)])
    chosen = Plan(recipe.changed(lr=0.1, weight_decay=1e-3), 5_120).training()
    assert chosen.optimizer.weight_decay == pytest.approx(1e-2)
    assert chosen.schedule.total == 20_000
    assert semi.RECIPES["byol"].sweep == {"lr": (0.01, 0.02, 0.05, 0.1, 0.005), "epochs": (30, 50)}


@pytest.mark.parametrize(
    ("model", "on_imagenet", "elsewhere"),
    [
        ("mae_vitb16", "mae", "deit"),
        ("beit_vitb16", "beit", "deit"),
        ("ibot_vits16", "ibot", "deit"),
        ("dino_vitb16", "deit", "deit"),
        ("mocov3_vitb16", "mocov3", "mocov3_transfer"),
        ("msn_vitb16", "msn", "msn_transfer"),
        ("ijepa_vith16_448", "ijepa", "deit"),
        ("byol_resnet50", "mae", "byol_20k"),
        ("timm:vit_base_patch16_224", "mae", "deit"),
    ],
)
def test_the_authors_recipe(model: str, on_imagenet: str, elsewhere: str) -> None:
    assert finetune.authors_recipe(model, "imagenet") == on_imagenet
    assert finetune.authors_recipe(model, "cars") == elsewhere


def test_a_value_that_is_given_is_not_swept() -> None:
    recipe = FineTuneSettings(recipe="byol_20k", lr=0.01).changes_of(finetune.RECIPES["byol_20k"])
    assert (recipe.lr, list(recipe.sweep)) == (0.01, ["weight_decay"])
    wider = FineTuneSettings(recipe="ibot", sweep_lr=(8e-4, 1e-3)).changes_of(finetune.RECIPES["ibot"])
    assert wider.sweep == {"lr": (8e-4, 1e-3)}


def test_other_epochs_keep_the_shares() -> None:
    assert finetune.RECIPES["mae"].changed(epochs=20).warmup_epochs == 1
    assert semi.RECIPES["swav"].changed(epochs=10).milestones == (6, 8)
    assert finetune.RECIPES["mae"].changed(epochs=20, warmup_epochs=3.0).warmup_epochs == 3
    assert TINY.changed(lr=0.5).lr == 0.5


def test_how_much_work_a_dry_run_expects() -> None:
    """Two rates and eight decays are 16 trainings and the last one; three passes for a step, one for a test image."""
    data = dataset(train=64, test=30)
    settings = FineTuneSettings(recipe="byol_20k", steps=10, batch_size=32, sweep_lr=(0.1, 0.2))
    assert finetune.FineTune().passes(backbone(), data, settings) == 17 * 10 * 32 * 3 + 30
    once = semi.SemiSettings(percent=25, epochs=3, batch_size=8)
    assert semi.Semi().passes(backbone(), data, once) == 3 * 16 * 3 + 30


def test_tasks_of_the_interface_are_there() -> None:
    known = registry()
    names = "imagenet cifar10 cifar100 flowers cars inat18 inat19 pets shapes digits"
    assert {known.task(f"finetune_{name}").protocol for name in names.split()} == {"finetune"}
    assert known.task("finetune_imagenet").settings == known.task("finetune_cars").settings == {}
    assert known.task("finetune_mae_imagenet").settings == {"recipe": "mae"}
    assert known.task("semi_1pct_imagenet").protocol == known.task("semi_10pct_imagenet").protocol == "semi"
    assert known.task("semi_frozen_1pct_imagenet").protocol == "semi_frozen"
    for protocol in ("finetune", "semi", "semi_frozen"):
        for name in known.tasks:
            if known.task(name).protocol == protocol:
                known.protocols.get(protocol).settings.model_validate(known.task(name).settings)
                known.dataset(known.task(name).dataset)
