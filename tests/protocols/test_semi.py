"""Fine-tuning on a part of the labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from protocols.finetune_toys import backbone, compute, dataset
from trained_backbone import trained_backbone

from ssl_bench.data import subsets
from ssl_bench.data.builders import load_dataset
from ssl_bench.errors import SettingsError
from ssl_bench.protocols.finetune import run as run_module
from ssl_bench.protocols.finetune.semi import Semi, SemiSettings
from ssl_bench.registry import registry
from ssl_bench.settings import resolve

SHORT = {"epochs": 4, "batch_size": 8, "lr": 0.02, "head_lr": 0.2, "crop_scale": (0.5, 1.0), "crop_ratio": 1.0}


@pytest.mark.parametrize(("task", "kind", "margin"), [
    ("semi_10pct_shapes", "resnet", 8), ("semi_10pct_digits", "vit", 12),
])  # fmt: skip
def test_a_trained_backbone_needs_fewer_labels(task: str, kind: str, margin: float, tmp_path: Path) -> None:
    card = registry().task(task)
    data = load_dataset(card.dataset)
    settings = resolve(SemiSettings, card.settings, "semi")
    trained, untrained = (
        Semi().evaluate(trained_backbone(kind, t), data, settings, compute(tmp_path)) for t in (True, False)
    )
    assert trained.metrics["top1"] > untrained.metrics["top1"] + margin
    assert trained.details["labelled_images"] == trained.details["training_images"]
    assert trained.details["labelled_images"] == len(subsets.fraction(data.train.labels, 10, 0))
    assert trained.details["subset"] == "drawn"


def test_only_the_labelled_images_are_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    train = run_module.train
    monkeypatch.setattr(run_module, "train", lambda net, part, *rest: (seen.append(part), train(net, part, *rest))[1])
    data = dataset(train=120)
    outcome = Semi().evaluate(backbone(), data, SemiSettings(percent=25, **SHORT), compute(tmp_path, seed=3))
    (part,) = seen
    assert np.array_equal(part.indices, subsets.fraction(data.train.labels, 25, 3))
    assert outcome.details["labelled_images"] == 30
    assert outcome.details["lr_used"] == 0.02
    assert outcome.details["head_lr_used"] == 0.2


def test_byol_chooses_rate_and_length_within_the_labelled_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    train = run_module.train
    monkeypatch.setattr(
        run_module, "train", lambda net, part, *rest: (lengths.append(len(part)), train(net, part, *rest))[1]
    )
    given = {name: value for name, value in SHORT.items() if name not in {"epochs", "lr", "head_lr"}}
    settings = SemiSettings(recipe="byol", percent=25, sweep_lr=(0.01, 0.05), sweep_epochs=(1, 2), **given)
    outcome = Semi().evaluate(backbone(), dataset(train=120), settings, compute(tmp_path))
    assert lengths == [24, 24, 24, 24, 30]
    assert outcome.selection == "held_out"
    assert set(outcome.details["chosen"]) == {"lr", "epochs"}


def test_imagenet_asks_for_the_official_list(tmp_path: Path) -> None:
    data = dataset(train=120)
    named = type(data)("imagenet", data.train, data.test)
    outcome = Semi().evaluate(backbone(), named, SemiSettings(percent=10, **SHORT), compute(tmp_path))
    assert "official list" in outcome.details["subset"]
    assert outcome.details["recipe"]["source"].startswith("facebookresearch/swav")


def test_one_image_a_class_leaves_nothing_to_choose_with(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nothing can be held out"):
        Semi().evaluate(backbone(), dataset(), SemiSettings(recipe="byol", percent=1), compute(tmp_path))


@pytest.mark.parametrize("bad", [{"percent": 0}, {"percent": 101}, {"recipe": "mae"}, {"penalties": [1.0]}])
def test_bad_settings_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        resolve(SemiSettings, bad, "semi")
