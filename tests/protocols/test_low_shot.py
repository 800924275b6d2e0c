from statistics import fmean, stdev

import numpy as np
import pytest
from conformance.golden_features import golden_features
from protocols.probe_data import Colours, compute, dataset
from sklearn.linear_model import LogisticRegression

from ssl_bench.compute import Compute
from ssl_bench.data.features import Features, extract
from ssl_bench.data.subsets import per_class
from ssl_bench.errors import FeatureError, SettingsError
from ssl_bench.protocols.low_shot import Draw, LowShot, LowShotSettings, draw_seed, score
from ssl_bench.settings import resolve


def centred(x):
    x = x - x.mean(1, keepdims=True)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def features(n=500):
    golden = golden_features(0, 10, 16, n, 230, 2)
    return Features.of(golden.train_x, golden.train_y, 10), Features.of(golden.test_x, golden.test_y, 10)


@pytest.mark.parametrize(("n", "accuracy"), [(10, 29.57), (20, 32.61), (50, 35.65), (130, 46.09)])
def test_golden_values_of_msn(n, accuracy):
    """All images of the golden set as one draw, MSN's default penalty: at most one of 230 test images differs."""
    train, test = features(n)
    outcome = score(train, test, [Draw(np.arange(n), "all")], LowShotSettings(splits=1), Compute())
    assert abs(outcome.metrics["top1"] - accuracy) <= 100 / 230 + 0.01


@pytest.mark.parametrize("shots", [1, 2, 5])
def test_agrees_with_scikit_learn_on_each_draw(shots):
    train, test = features()
    outcome = LowShot().evaluate_features(train, test, LowShotSettings(shots=shots, tolerance=1e-5), Compute())
    theirs = []
    for draw in (1, 2, 3):
        rows = per_class(train.y, shots, draw_seed(Compute(), draw))
        assert np.bincount(train.y[rows]).tolist() == [shots] * 10
        model = LogisticRegression(C=4000, fit_intercept=False, tol=1e-7, max_iter=10000)
        model.fit(centred(train.x[rows]), train.y[rows])
        theirs.append(100 * model.score(centred(test.x), test.y))
    ours = outcome.details["top1_per_split"]
    np.testing.assert_allclose(ours, theirs, atol=100 / 230 + 1e-6)
    assert outcome.metrics["top1"] == pytest.approx(fmean(ours))
    assert outcome.metrics["top1_std"] == pytest.approx(stdev(ours))
    assert outcome.interval.low == pytest.approx(fmean(ours) - stdev(ours))
    first = outcome.predictions
    assert 100 * (first.prediction == test.y).mean() == pytest.approx(ours[0])
    assert outcome.selection == "fixed"


def test_seeds_draw_other_images_and_the_same_seed_the_same():
    train, test = features()
    zero, again, one = (
        LowShot().evaluate_features(train, test, LowShotSettings(), Compute(seed=seed)).metrics for seed in (0, 0, 1)
    )
    assert zero == again
    assert zero != one


def test_scale_and_offset_of_features_do_not_matter():
    """Each sample is centred and scaled by itself."""
    train, test = features()
    moved = [Features.of(7 * part.x + 3, part.y, 10) for part in (train, test)]
    one, other = (LowShot().evaluate_features(*parts, LowShotSettings(), Compute()) for parts in ((train, test), moved))
    np.testing.assert_allclose(one.details["top1_per_split"], other.details["top1_per_split"], atol=100 / 230 + 1e-6)


def test_a_class_with_too_few_images_is_named():
    train, test = features(25)
    with pytest.raises(FeatureError, match="Class 5 has 2 training images; 5 of each class"):
        LowShot().evaluate_features(train, test, LowShotSettings(shots=5), Compute())


def test_features_that_are_not_finite_are_refused():
    train, test = features()
    test.x[3, 2] = np.nan
    with pytest.raises(FeatureError, match="test features are not finite"):
        LowShot().evaluate_features(train, test, LowShotSettings(), Compute())


@pytest.mark.parametrize("bad", [{"shots": 0}, {"splits": 0}, {"penalty": 0}, {"normalisation": "what"}, {"shot": 1}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(SettingsError):
        resolve(LowShotSettings, bad, "low_shot")


@pytest.mark.parametrize("metric", ["top1", "mean_per_class"])
def test_on_images_reads_only_the_drawn_ones(tmp_path, metric, monkeypatch):
    data = dataset(metric=metric)
    read = []

    def counting(backbone, split, how):
        read.append(len(split))
        return extract(backbone, split, how)

    monkeypatch.setattr("ssl_bench.protocols.low_shot.extract", counting)
    outcome = LowShot().evaluate(Colours(), data, LowShotSettings(shots=2), compute(tmp_path))
    assert 6 <= read[0] <= 18
    assert read[1] == len(data.test)
    assert outcome.primary == metric
    assert outcome.details["images_per_split"] == [6, 6, 6]
    rows = per_class(data.train.labels, 2, 1)
    features_of = lambda part: np.stack([p / 255 for p in part.array().mean((1, 2))])  # noqa: E731
    x, t = ((features_of(part) - 0.5) / 0.25 for part in (data.train, data.test))
    model = LogisticRegression(C=4000, fit_intercept=False, tol=1e-7, max_iter=10000)
    model.fit(centred(x[rows]), data.train.labels[rows])
    assert outcome.details["top1_per_split"][0] == pytest.approx(
        100 * model.score(centred(t), data.test.labels), abs=100 / 45 + 0.01
    )


def test_imagenet_asks_for_the_official_lists(tmp_path):
    outcome = LowShot().evaluate(Colours(), dataset(name="imagenet"), LowShotSettings(), compute(tmp_path))
    assert len(set(outcome.details["draws"])) == 3
    assert all("official list" in source for source in outcome.details["draws"])
