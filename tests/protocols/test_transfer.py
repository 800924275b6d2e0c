"""The linear transfer suite: against scikit-learn, and what the choice of the strength may see."""

from dataclasses import replace

import numpy as np
import pytest
from conformance.golden_features import golden_features
from protocols.probe_data import Colours, compute, dataset, split
from sklearn.linear_model import LogisticRegression
from trained_backbone import trained_backbone

from ssl_bench.compute import Compute
from ssl_bench.data import subsets
from ssl_bench.data.builders import load_dataset
from ssl_bench.data.features import Features
from ssl_bench.errors import FeatureError, SettingsError
from ssl_bench.protocols.transfer.strength import STRENGTHS, StrengthSettings
from ssl_bench.protocols.transfer.suite import Transfer, score
from ssl_bench.registry import registry
from ssl_bench.settings import resolve

FEW = StrengthSettings(strengths=(1e-1, 1.0, 1e1, 1e3), tolerance=1e-6, max_iterations=500)


def features(n=260, n_test=230):
    golden = golden_features(0, 10, 16, n, n_test, 2)
    return Features.of(golden.train_x, golden.train_y, 10), Features.of(golden.test_x, golden.test_y, 10)


def theirs(strength, x, y, t):
    model = LogisticRegression(C=1 / strength, tol=1e-10, max_iter=20000).fit(x.astype(np.float64), y)
    return model.predict(t), model.predict_proba(t)


def rows(part, where):
    return Features.of(part.x[where], part.y[where], part.classes)


def test_the_45_strengths():
    assert len(STRENGTHS) == 45
    assert (STRENGTHS[0], STRENGTHS[-1]) == (pytest.approx(1e-6), pytest.approx(1e5))
    np.testing.assert_allclose(np.diff(np.log10(STRENGTHS)), 0.25)


@pytest.mark.parametrize("official", [True, False])
def test_agrees_with_scikit_learn_on_choice_and_test(official):
    """The whole procedure again with scikit-learn: choose on validation images, fit to all, predict."""
    train, test = features()
    kept, out = subsets.holdout(train.y, 0.2, 0)
    part, held = rows(train, kept), rows(train, out)
    ours = score(*((part, held) if official else (train, None)), test, FEW, Compute())
    accuracy = {s: 100 * (theirs(s, part.x, part.y, held.x)[0] == held.y).mean() for s in FEW.strengths}
    found = ours.details["held_out_score"]
    assert list(found.values()) == pytest.approx(list(accuracy.values()), abs=1e-3)
    best = max(accuracy, key=lambda s: (accuracy[s], s))
    assert ours.details["strength"] == best
    order = np.concatenate([kept, out])
    prediction, probability = theirs(best, train.x[order], train.y[order], test.x)
    np.testing.assert_array_equal(ours.predictions.prediction, prediction)
    np.testing.assert_allclose(ours.predictions.score, probability.max(1), rtol=5e-3)
    assert ours.metrics["top1"] == pytest.approx(100 * (prediction == test.y).mean())
    assert (ours.selection, ours.details["trained_on"], ours.details["validation_images"]) == (
        "held_out",
        260,
        len(out),
    )
    assert ours.interval.low < ours.metrics["top1"] < ours.interval.high


def test_the_mean_loss_is_the_sum_with_n_times_the_strength():
    train, test = features()
    one = StrengthSettings(strengths=(0.01,), scale="mean")
    other = StrengthSettings(strengths=(0.01 * len(train),))
    found = [score(train, None, test, settings, Compute()).predictions.score for settings in (one, other)]
    np.testing.assert_array_equal(*found)


def test_the_choice_does_not_see_the_test_labels():
    """Other test labels, the same chosen strength; and one strength is no choice at all."""
    train, test = features()
    shuffled = replace(test, y=np.random.RandomState(0).permutation(test.y))
    one, other = (score(train, None, part, FEW, Compute()) for part in (test, shuffled))
    assert one.metrics != other.metrics
    for key in ("strength", "held_out_score", "gap"):
        assert one.details[key] == other.details[key]
    fixed = score(train, None, test, StrengthSettings(strengths=(1.0,)), Compute())
    assert fixed.selection == "fixed"
    assert "held_out_score" not in fixed.details
    assert fixed.details["trained_on"] == len(train)


def test_of_equal_strengths_the_strongest_is_taken():
    x = np.array([[-1.0], [1.0]]).repeat(10, 0)
    part = Features.of(x, np.arange(20) // 10, 2)
    outcome = score(part, None, part, StrengthSettings(strengths=(0.1, 10.0, 1.0)), Compute())
    assert outcome.details["strength"] == 10.0


def test_the_metric_of_the_data_set_decides():
    """A class of 4 among 200 images: by the mean over classes a weak penalty is better, by top-1 it is not worth it."""
    random = np.random.RandomState(0)
    y = np.array([0] * 100 + [1] * 96 + [2] * 4)
    x = (np.eye(3)[y] * 1.5 + random.randn(200, 3)).astype(np.float32)
    train, val = (Features.of(x[i::2], y[i::2], 3) for i in (0, 1))
    chosen = {metric: score(train, val, val, FEW, Compute(), metric) for metric in ("top1", "mean_per_class")}
    for metric, outcome in chosen.items():
        assert outcome.primary == metric
        scores = outcome.details["held_out_score"]
        assert scores[f"{outcome.details['strength']:.4g}"] == max(scores.values())
    assert len({str(outcome.details["held_out_score"]) for outcome in chosen.values()}) == 2


def test_an_exact_number_of_images_is_held_out(tmp_path):
    """BYOL's 5,067 of CIFAR-100's 50,000 in miniature; a subset of the data set falls back to the share."""
    settings = StrengthSettings(strengths=(1.0, 10.0), val_images=14)
    outcome = Transfer().evaluate(Colours(), dataset(), settings, compute(tmp_path))
    assert outcome.details["validation_images"] == 14
    assert outcome.details["validation"] == "14 training images, drawn"
    outcome = Transfer().evaluate(Colours(), dataset(train=24), settings, compute(tmp_path))
    assert outcome.details["validation"] == "20% of each class's training images, drawn"
    assert outcome.details["trained_on"] == 24


@pytest.mark.parametrize("metric", ["top1", "mean_per_class"])
def test_on_images_with_validation_images_of_their_own(tmp_path, metric):
    data = replace(dataset(metric=metric), val=split(30, 5))
    outcome = Transfer().evaluate(Colours(), data, FEW, compute(tmp_path))
    assert outcome.primary == metric
    assert outcome.details["validation"] == "the data set's own"
    assert (outcome.details["validation_images"], outcome.details["trained_on"]) == (30, 90)
    assert outcome.metrics["top1"] > 60
    assert outcome.details["preprocess"] == {**Colours.preprocess.card.model_dump(mode="json"), "resize": 8}


def test_the_task_of_each_of_the_twelve_sets():
    """BYOL's table 10: how many images choose the strength. VOC 2007 and three others have validation images."""
    counts = {"food101": 7575, "cifar10": 5000, "cifar100": 5067, "birdsnap": 4981, "sun397": 3970, "cars": 1650}
    counts |= {"pets": 740, "caltech101": 510, "aircraft": None, "dtd": None, "flowers": None}
    for name, count in counts.items():
        task = registry().task(f"transfer_{name}")
        assert "transfer" in task.groups
        assert resolve(StrengthSettings, task.settings, "transfer").val_images == count
        card = registry().dataset(task.dataset)
        mean = {"aircraft", "pets", "caltech101", "flowers"}
        assert card.metric == ("mean_per_class" if name in mean else "top1")
    assert "transfer" in registry().task("transfer_voc07").groups
    assert registry().task("ssl_transfer_cifar10").settings == {"held_out": 0.2}


def test_a_trained_backbone_is_better_on_shapes(tmp_path):
    data = load_dataset("shapes", limit=40)
    settings = StrengthSettings(strengths=(0.01, 1.0, 100.0))
    trained, untrained = (
        Transfer().evaluate(trained_backbone("resnet", which), data, settings, compute(tmp_path))
        for which in (True, False)
    )
    assert trained.metrics["top1"] > 70 > 40 > untrained.metrics["top1"]
    assert trained.interval.low > untrained.interval.high


def test_nothing_to_hold_out_is_said():
    part = Features.of(np.eye(3), np.arange(3), 3)
    with pytest.raises(FeatureError, match="none can be held out to choose the strength"):
        score(part, None, part, FEW, Compute())


@pytest.mark.parametrize(
    "bad", [{"strengths": []}, {"strengths": [0]}, {"scale": "max"}, {"geometry": "x"}, {"held_out": 1}]
)
def test_bad_settings_are_refused(bad):
    with pytest.raises(SettingsError):
        resolve(StrengthSettings, bad, "transfer")
