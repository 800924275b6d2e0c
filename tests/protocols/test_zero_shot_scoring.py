"""The metric of each data set against scikit-learn, and what happens to equal scores."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score, top_k_accuracy_score

from ssl_bench.errors import DataError, SettingsError
from ssl_bench.protocols.zero_shot.scoring import Ranks, roc_auc, several_labels


def scores(classes, count=300, seed=0):
    """Labels, and scores that are right more often than not."""
    random = np.random.RandomState(seed)
    labels = random.randint(0, classes, count)
    return labels, (random.randn(count, classes) + 1.5 * np.eye(classes)[labels]).astype(np.float32)


def ranks(labels, logits, step=77):
    found = Ranks(labels, logits.shape[1])
    for start in range(0, len(labels), step):
        rows = slice(start, min(start + step, len(labels)))
        found.take(rows, logits[rows])
    return found


def test_single_labels_agree_with_scikit_learn():
    labels, logits = scores(12)
    metrics = ranks(labels, logits).metrics("top1_top5")
    names = np.arange(12)
    assert metrics["top1"] == pytest.approx(100 * top_k_accuracy_score(labels, logits, k=1, labels=names))
    assert metrics["top5"] == pytest.approx(100 * top_k_accuracy_score(labels, logits, k=5, labels=names))
    assert metrics["mean_per_class"] == pytest.approx(100 * balanced_accuracy_score(labels, logits.argmax(1)))
    assert metrics["top1_top5"] == pytest.approx((metrics["top1"] + metrics["top5"]) / 2)
    assert metrics["top5"] > metrics["top1"]


@pytest.mark.parametrize("metric", ["top1", "mean_per_class", "top1_top5"])
def test_the_interval_is_about_the_primary_metric(metric):
    labels, logits = scores(12)
    outcome = ranks(labels, logits).outcome(np.arange(300), metric)
    assert outcome.primary == metric
    assert outcome.interval.low < outcome.metrics[metric] < outcome.interval.high
    assert outcome.interval.high - outcome.interval.low < 20


def test_the_interval_of_top1_top5_is_that_of_a_mean():
    """Bootstrap against the normal approximation, 1.96 standard errors."""
    labels, logits = scores(12, count=2000)
    found = ranks(labels, logits)
    each = 50.0 * (logits.argmax(1) == labels) + 50.0 * (found.place < 5)
    interval = found.interval("top1_top5")
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * each.std() / 2000**0.5, rel=0.15)


def test_the_area_under_the_curve_agrees_with_scikit_learn():
    labels, logits = scores(2)
    logits = logits.round(1)  # many equal scores
    metrics = ranks(labels, logits).metrics("roc_auc")
    expected = roc_auc_score(labels, logits[:, 1] - logits[:, 0])
    assert metrics["roc_auc"] == pytest.approx(100 * expected)
    assert metrics["roc_auc"] > 60  # the sign: class 1 is the positive one
    counts = np.bincount(np.random.RandomState(1).randint(0, 300, 300), minlength=300)
    margin = (logits[:, 1] - logits[:, 0]).astype(np.float64)
    assert roc_auc(labels == 1, margin, counts) == pytest.approx(roc_auc_score(labels, margin, sample_weight=counts))
    assert np.isnan(roc_auc(labels == 5, margin))
    interval = ranks(labels, logits).interval("roc_auc")
    assert interval.low < metrics["roc_auc"] < interval.high


def test_metrics_that_say_nothing_are_refused():
    labels, logits = scores(3)
    assert "top5" not in ranks(labels, logits).metrics("top1")
    with pytest.raises(SettingsError, match="there are 3 classes"):
        ranks(labels, logits).metrics("top1_top5")
    with pytest.raises(DataError, match="needs test images of two classes; there are 3"):
        ranks(labels, logits).metrics("roc_auc")
    labels, logits = np.zeros(5, np.int64), scores(2, 5)[1]
    with pytest.raises(DataError, match="there are 1"):
        ranks(labels, logits).metrics("roc_auc")


def test_of_equal_scores_the_first_class_comes_first():
    found = ranks(np.arange(7), np.zeros((7, 7), np.float32))
    assert found.prediction.tolist() == [0] * 7
    assert found.place.tolist() == list(range(7))
    np.testing.assert_allclose(found.probability, 1 / 7, rtol=1e-6)


def test_several_labels_by_eleven_points():
    """Against the definition; an image whose objects of a class are all difficult is left out of its list."""
    random = np.random.RandomState(0)
    present = (random.rand(60, 4) < 0.3).astype(np.int8)
    values = random.randn(60, 4) + present
    present[::7, 1] = -1
    outcome = several_labels(present, values, ("a", "b", "c", "d"))
    each = []
    for c in range(4):
        known = present[:, c] >= 0
        hits = present[known, c][np.argsort(-values[known, c])] == 1
        precision, recall = hits.cumsum() / np.arange(1, len(hits) + 1), hits.cumsum() / hits.sum()
        each.append(np.mean([precision[recall >= t - 1e-9].max(initial=0) for t in np.linspace(0, 1, 11)]))
    assert outcome.metrics["map"] == pytest.approx(100 * np.mean(each))
    assert outcome.interval.low < outcome.metrics["map"] < outcome.interval.high
    assert outcome.details["ap"]["b"] == pytest.approx(100 * each[1], abs=1e-3)
    with pytest.raises(DataError, match="None of the classes"):
        several_labels(np.zeros((3, 2), np.int8), values[:3, :2], ("a", "b"))
