import numpy as np
import pytest
from conformance.golden_features import golden_features
from protocols.probe_data import Colours, compute, dataset, split
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.features import Features
from ssl_bench.errors import FeatureError, SettingsError
from ssl_bench.protocols import linear_frozen
from ssl_bench.protocols.grid import train_grid
from ssl_bench.protocols.linear_frozen import DINOV2_LRS, LinearFrozen, LinearFrozenSettings
from ssl_bench.settings import resolve

QUICK = {"lrs": (0.001, 0.1), "epochs": 5}


def features(n=500, scale=1.0):
    golden = golden_features(0, 10, 16, n, 230, 2)
    return Features.of(scale * golden.train_x, golden.train_y, 10), Features.of(
        scale * golden.test_x, golden.test_y, 10
    )


def run(train, test, how=None, **given):
    return LinearFrozen().evaluate_features(train, test, resolve(LinearFrozenSettings, given, "test"), how or Compute())


def test_defaults_reach_logistic_regression():
    """With DINOv2's grid the head is about as good as a converged logistic regression on the same features."""
    train, test = features()
    outcome = run(train, test, epochs=60)
    scaler = StandardScaler().fit(train.x)
    best = LogisticRegression(C=0.1).fit(scaler.transform(train.x), train.y).score(scaler.transform(test.x), test.y)
    assert outcome.metrics["top1"] == pytest.approx(100 * best, abs=4)
    assert outcome.selection == "held_out"
    assert [point["lr"] for point in outcome.details["grid"]] == list(DINOV2_LRS)
    assert outcome.details["held_out_images"] == 50
    assert outcome.details["trained_on"] == 500
    assert outcome.metrics["top5"] > outcome.metrics["top1"]
    chosen = next(p for p in outcome.details["grid"] if p["lr"] == outcome.details["chosen"]["lr"])
    assert chosen["held_out_top1"] == max(p["held_out_top1"] for p in outcome.details["grid"])


def test_test_images_do_not_steer_the_choice():
    train, test = features()
    wrong = Features.of(test.x, np.roll(test.y, 1), 10)
    one, other = run(train, test, **QUICK), run(train, wrong, **QUICK)
    assert one.details == other.details
    np.testing.assert_array_equal(one.predictions.prediction, other.predictions.prediction)
    assert one.metrics["top1"] == pytest.approx(100 * (one.predictions.prediction == test.y).mean())


def test_scale_of_features_does_not_matter_by_default():
    one, other = run(*features(), **QUICK), run(*features(scale=300), **QUICK)
    assert one.metrics == other.metrics


def test_without_refit_the_chosen_head_is_tested():
    train, test = features()
    outcome = run(train, test, refit=False, **QUICK)
    assert outcome.details["trained_on"] == 450


def test_one_learning_rate_needs_no_choice_and_is_scaled_by_the_batch(monkeypatch):
    peaks = []

    def spy(x, y, classes, heads, **kwargs):
        peaks.append([head.lr for head in heads])
        return train_grid(x, y, classes, heads, **kwargs)

    monkeypatch.setattr(linear_frozen, "train_grid", spy)
    outcome = run(*features(), lrs=(0.1,), batch_size=64, epochs=2)
    assert outcome.selection == "fixed"
    assert peaks == [[pytest.approx(0.025)]]


def test_seed_decides_everything():
    train, test = features()
    first, again, other = (run(train, test, Compute(seed=seed), **QUICK) for seed in (0, 0, 1))
    assert first.details == again.details
    np.testing.assert_array_equal(first.predictions.score, again.predictions.score)
    assert not np.array_equal(first.predictions.score, other.predictions.score)


def test_problems_are_named():
    train, test = features()
    with pytest.raises(SettingsError, match="given features are one embedding"):
        run(train, test, embeddings=("last4_cls",))
    with pytest.raises(FeatureError, match="No class has two training images"):
        run(*features(10), **QUICK)
    with pytest.raises(FeatureError, match="diverged"):
        run(train, test, lrs=(1e38,), epochs=2, normalisation="none")
    train.x[2, 3] = np.inf
    with pytest.raises(FeatureError, match="train features are not finite"):
        run(train, test, **QUICK)


@pytest.mark.parametrize(
    "bad", [{"lrs": []}, {"lrs": [0]}, {"weight_decays": [-1]}, {"epochs": 0}, {"normalisation": "x"}]
)
def test_bad_settings_are_refused(bad):
    with pytest.raises(SettingsError):
        resolve(LinearFrozenSettings, bad, "linear_frozen")


def test_on_images_the_official_validation_split_chooses_and_joins_the_refit(tmp_path):
    data = Dataset("colours", split(60, 0), split(45, 1), val=split(30, 2), metric="mean_per_class")
    outcome = LinearFrozen().evaluate(Colours(), data, LinearFrozenSettings(**QUICK), compute(tmp_path))
    assert outcome.primary == "mean_per_class"
    assert outcome.details["held_out_images"] == 30
    assert outcome.details["trained_on"] == 90
    assert "top5" not in outcome.metrics


def test_embeddings_are_part_of_the_grid(tmp_path):
    """``constant`` says nothing about the class, so the default must win."""

    def extract_many(backbone, part, how, names):
        real = extract(backbone, part, how, ["default"])["default"]
        constant = Features(0 * real.x[:, :2], real.y, real.index, real.classes)
        return {name: constant if name == "constant" else real for name in names}

    extract = linear_frozen.extract_many
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear_frozen, "extract_many", extract_many)
        chosen = LinearFrozenSettings(embeddings=("constant", "default"), **QUICK)
        outcome = LinearFrozen().evaluate(Colours(), dataset(), chosen, compute(tmp_path))
    assert [point["embedding"] for point in outcome.details["grid"]] == ["constant"] * 2 + ["default"] * 2
    assert outcome.details["chosen"]["embedding"] == "default"
    assert outcome.metrics["top1"] > 60
