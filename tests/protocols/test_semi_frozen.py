import numpy as np
import pytest
from conformance.golden_features import golden_features
from protocols.probe_data import Colours, compute, dataset
from sklearn.linear_model import LogisticRegression

from ssl_bench.compute import Compute
from ssl_bench.data.features import Features
from ssl_bench.data.subsets import fraction, holdout
from ssl_bench.errors import SettingsError
from ssl_bench.protocols.semi_frozen import MSN_PENALTY, SemiFrozen, SemiFrozenSettings
from ssl_bench.settings import resolve


def centred(x):
    x = x - x.mean(1, keepdims=True)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def features(n=2000):
    golden = golden_features(0, 10, 16, n, 230, 2)
    return Features.of(golden.train_x, golden.train_y, 10), Features.of(golden.test_x, golden.test_y, 10)


def sklearn(x, y, penalty):
    return LogisticRegression(C=1 / penalty, fit_intercept=False, tol=1e-8, max_iter=10000).fit(x, y)


@pytest.mark.parametrize("percent", [2, 10])
def test_agrees_with_scikit_learn_all_the_way(percent):
    """Draw, hold out, choose, fit again: the same done with scikit-learn's solver."""
    train, test = features()
    given = SemiFrozenSettings(percent=percent, penalties=(1e-3, 0.1, 10.0), tolerance=1e-6)
    outcome = SemiFrozen().evaluate_features(train, test, given, Compute())
    rows = fraction(train.y, percent, 0)
    x, y = centred(train.x[rows]), train.y[rows]
    kept, held = holdout(y, 0.2, 0)
    scores = {p: 100 * sklearn(x[kept], y[kept], p).score(x[held], y[held]) for p in given.penalties}
    assert list(outcome.details["held_out_top1"].values()) == pytest.approx(list(scores.values()), abs=100 / len(held))
    best = max(scores, key=lambda p: (scores[p], p))
    assert outcome.details["penalty"] == best
    expected = 100 * sklearn(x, y, best).score(centred(test.x), test.y)
    assert outcome.metrics["top1"] == pytest.approx(expected, abs=100 / 230 + 1e-6)
    assert outcome.selection == "held_out"
    assert outcome.details["labelled_images"] == len(rows) == 20 * percent
    assert outcome.interval.low < outcome.metrics["top1"] < outcome.interval.high


def test_test_labels_do_not_steer_the_choice():
    train, test = features()
    shuffled = Features.of(test.x, np.roll(test.y, 1), 10)
    one, other = (
        SemiFrozen().evaluate_features(train, part, SemiFrozenSettings(), Compute()) for part in (test, shuffled)
    )
    assert one.details == other.details
    np.testing.assert_array_equal(one.predictions.prediction, other.predictions.prediction)


def test_one_image_a_class_leaves_nothing_to_choose_with():
    train, test = features(100)
    outcome = SemiFrozen().evaluate_features(train, test, SemiFrozenSettings(percent=1), Compute())
    assert outcome.selection == "fixed"
    assert outcome.details["penalty"] == MSN_PENALTY
    assert outcome.details["labelled_images"] == 10


def test_a_single_penalty_is_fixed():
    train, test = features()
    outcome = SemiFrozen().evaluate_features(train, test, SemiFrozenSettings(penalties=(0.01,)), Compute())
    assert outcome.selection == "fixed"
    assert outcome.details["penalty"] == 0.01


def test_on_images_with_the_metric_of_the_data_set(tmp_path):
    data = dataset(metric="mean_per_class")
    outcome = SemiFrozen().evaluate(Colours(), data, SemiFrozenSettings(percent=50), compute(tmp_path))
    assert outcome.primary == "mean_per_class"
    assert outcome.details["labelled_images"] == 30
    assert outcome.metrics["mean_per_class"] > 80


def test_imagenet_asks_for_the_official_list(tmp_path):
    outcome = SemiFrozen().evaluate(
        Colours(), dataset(name="imagenet"), SemiFrozenSettings(percent=10), compute(tmp_path)
    )
    assert "official list" in outcome.details["subset"]


@pytest.mark.parametrize(
    "bad", [{"percent": 0}, {"percent": 101}, {"penalties": []}, {"penalties": [0.0]}, {"held_out": 1}]
)
def test_bad_settings_are_refused(bad):
    with pytest.raises(SettingsError):
        resolve(SemiFrozenSettings, bad, "semi_frozen")
