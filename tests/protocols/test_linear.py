"""Linear evaluation on images, end to end with a tiny backbone."""

import numpy as np
import pytest
import torch
from protocols.probe_data import Colours, compute, dataset

from ssl_bench.backbones.load import load_model
from ssl_bench.errors import FeatureError, SettingsError
from ssl_bench.protocols import linear
from ssl_bench.protocols.linear import Linear, LinearSettings
from ssl_bench.protocols.linear_choice import embedding_for, recipe_for
from ssl_bench.protocols.linear_recipes import RECIPES
from ssl_bench.settings import resolve

QUICK = {"epochs": 4, "batch_size": 16, "lr": 5.0}


def run(tmp_path, data=None, **given):
    chosen = resolve(LinearSettings, {**QUICK, **given}, "linear")
    return Linear().evaluate(Colours(), data or dataset(), chosen, compute(tmp_path))


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_every_recipe_runs_and_says_what_it_did(tmp_path, recipe):
    outcome = run(tmp_path, recipe=recipe)
    assert outcome.details["recipe"]["source"] == RECIPES[recipe].source
    assert outcome.details["recipe"]["epochs"] == 4
    assert outcome.selection == "fixed"
    history = outcome.details["test_top1_by_epoch"]
    assert len(history) == 4
    assert outcome.metrics["top1"] == history[-1]
    assert outcome.metrics["top1_best_epoch"] == max(history)
    found = outcome.predictions
    assert 100 * (found.prediction == found.label).mean() == pytest.approx(outcome.metrics["top1"])
    assert not list((tmp_path / "cache" / "linear").iterdir())


def test_learns_what_can_be_learned(tmp_path):
    assert run(tmp_path, epochs=10).metrics["top1"] > 80


def test_learning_rate_is_scaled_by_the_batch_that_is_used(tmp_path):
    assert run(tmp_path, lr=0.1, batch_size=32).details["peak_lr"] == pytest.approx(0.1 * 32 / 256)
    assert run(tmp_path, lr=0.1, batch_size=4096).details["peak_lr"] == pytest.approx(0.1 * 60 / 256)
    assert run(tmp_path, recipe="moco", lr=None).details["peak_lr"] == 30


def test_best_on_test_is_the_best_epochs_head_and_says_so(tmp_path):
    last = run(tmp_path, lr=50.0, epochs=5)
    best = run(tmp_path, lr=50.0, epochs=5, report="best_on_test")
    assert best.selection == "best_on_test"
    assert best.metrics["top1"] == last.metrics["top1_best_epoch"] == max(last.details["test_top1_by_epoch"])
    assert best.details["test_top1_by_epoch"] == last.details["test_top1_by_epoch"]
    assert best.metrics["top1"] > last.metrics["top1"]


def test_sweep_is_decided_on_training_images(tmp_path):
    outcome = run(tmp_path, lr_sweep=(1e-6, 5.0), lr=None)
    assert outcome.selection == "held_out"
    scores = {row["lr"]: row["held_out_top1"] for row in outcome.details["sweep"]}
    assert outcome.details["lr"] == max(scores, key=lambda lr: (scores[lr], -lr))
    assert set(scores) == {1e-6, 5.0}
    data = dataset()
    data.test.labels = np.roll(data.test.labels, 1)
    assert run(tmp_path, data, lr_sweep=(1e-6, 5.0), lr=None).details["sweep"] == outcome.details["sweep"]


class Stop(Exception):
    pass


@pytest.mark.parametrize(("stop_at", "given"), [(2, {}), (3, {"recipe": "mae"}), (6, {"lr_sweep": (0.5, 5.0)})])
def test_the_same_command_goes_on_where_it_was_stopped(tmp_path, monkeypatch, stop_at, given):
    """Stopped in the middle of an epoch; the second run trains the rest only and ends bit-identical."""
    whole = run(tmp_path / "whole", **given)
    original, trained = linear.HeadTraining.train_epoch, []

    def train_epoch(self, batches, *rest):
        if len(trained) == stop_at:
            next(iter(batches))
            raise Stop
        trained.append(self.epoch)
        return original(self, batches, *rest)

    monkeypatch.setattr(linear.HeadTraining, "train_epoch", train_epoch)
    with pytest.raises(Stop):
        run(tmp_path / "parts", **given)
    stopped_after = len(trained)
    epochs = []
    monkeypatch.setattr(
        linear.HeadTraining,
        "train_epoch",
        lambda self, *rest: (epochs.append(self.epoch), original(self, *rest))[1],
    )
    resumed = run(tmp_path / "parts", **given)
    assert len(epochs) == (8 if "lr_sweep" in given else 4) - stopped_after
    assert resumed.metrics == whole.metrics
    assert resumed.details == whole.details
    np.testing.assert_array_equal(resumed.predictions.score, whole.predictions.score)


def test_a_damaged_state_is_noted_and_the_training_starts_again(tmp_path, monkeypatch):
    whole = run(tmp_path / "whole")
    original = linear.Saved.load

    def damage_then_load(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(b"damaged")
        return original(self)

    monkeypatch.setattr(linear.Saved, "load", damage_then_load)
    how = compute(tmp_path)
    again = Linear().evaluate(Colours(), dataset(), LinearSettings(**QUICK), how)
    assert again.metrics == whole.metrics
    assert any("damaged" in note for note in how.progress.notes)


def test_the_backbone_stays_as_it_is(tmp_path):
    class Norm(Colours):
        def __init__(self):
            super().__init__()
            self.norm = torch.nn.BatchNorm2d(3)

        def forward(self, images):
            return self.norm(images).mean((2, 3))

    backbone = Norm().train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    Linear().evaluate(backbone, dataset(), LinearSettings(**QUICK), compute(tmp_path))
    assert backbone.training
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    assert all(parameter.grad is None for parameter in backbone.parameters())


def test_the_data_sets_metric_is_the_headline(tmp_path):
    outcome = run(tmp_path, dataset(metric="mean_per_class"))
    assert outcome.primary == "mean_per_class"
    assert "top5" not in outcome.metrics


def test_divergence_is_named(tmp_path):
    with pytest.raises(FeatureError, match="diverged"):
        run(tmp_path, recipe="moco", lr=3e38)


@pytest.mark.parametrize("bad", [{"recipe": "magic"}, {"epochs": 0}, {"lr": -1}, {"report": "best"}, {"lr_sweep": [0]}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(SettingsError):
        resolve(LinearSettings, bad, "linear")


def test_convnets_take_their_own_vector():
    backbone = load_model("random_resnet18", device="cpu")
    assert embedding_for(backbone, RECIPES["dino"], None, None) == "default"
    assert recipe_for(backbone, "mocov3").lr == 0.1


def test_vits_take_dinos_features_and_their_own_rates():
    small = load_model("random_vit_tiny_patch16_224", device="cpu")
    assert embedding_for(small, RECIPES["dino"], None, None) == "last4_cls"
    assert embedding_for(small, RECIPES["dino"], 2, True) == "last2_cls_mean"
    assert embedding_for(small, RECIPES["mae"], None, None) == "default"
    assert embedding_for(small, RECIPES["mae"], None, True) == "last1_cls_mean"
    assert recipe_for(small, "mocov3").lr == 3
    assert recipe_for(small, "mae").epochs == 90
    small.token_dim = 768
    assert embedding_for(small, RECIPES["dino"], None, None) == "last1_cls_mean"
    small.token_dim = 1024
    large = recipe_for(small, "mae")
    assert (large.epochs, large.warmup_epochs) == (50, 10)
