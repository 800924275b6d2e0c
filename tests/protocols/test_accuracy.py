import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from ssl_bench.protocols.accuracy import accuracy_interval, accuracy_metrics
from ssl_bench.protocols.protocol import Outcome, Predictions, headline
from ssl_bench.results.statistics import wilson


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
@pytest.mark.filterwarnings("ignore:y_pred contains classes:UserWarning")
@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning")
def test_agrees_with_scikit_learn(pairs):
    labels, prediction = (np.array(column) for column in zip(*pairs, strict=True))
    metrics = accuracy_metrics(labels, prediction)
    assert metrics["top1"] == pytest.approx(100 * accuracy_score(labels, prediction))
    assert metrics["mean_per_class"] == pytest.approx(100 * balanced_accuracy_score(labels, prediction))
    for name, value in metrics.items():
        interval = accuracy_interval(labels, prediction, name)
        assert 0 <= interval.low <= value + 1e-9
        assert value - 1e-9 <= interval.high <= 100


def test_interval_of_one_class_is_wilsons():
    labels, prediction = np.zeros(20, int), np.arange(20) // 15
    one, other = accuracy_interval(labels, prediction, "mean_per_class"), wilson(15, 20)
    assert (one.low, one.high) == pytest.approx((other.low, other.high))


def test_interval_of_the_mean_over_classes_covers_as_it_says():
    """Two classes of 200 and 20 images with accuracies 0.9 and 0.5: about 95 % of the intervals hold 70 %."""
    random = np.random.RandomState(0)
    labels = np.repeat([0, 1], [200, 20])
    held = 0
    for _ in range(400):
        right = random.rand(220) < np.where(labels == 0, 0.9, 0.5)
        interval = accuracy_interval(labels, np.where(right, labels, 1 - labels), "mean_per_class")
        held += interval.low <= 70 <= interval.high
    assert 0.92 <= held / 400 <= 0.98


def test_headline_is_the_data_sets_metric():
    labels, prediction = np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0])
    metrics = accuracy_metrics(labels, prediction)
    assert metrics == {"top1": 75.0, "mean_per_class": 50.0}
    outcome = Outcome(metrics, "top1", predictions=Predictions(np.arange(4), labels, prediction, np.ones(4)))
    assert headline(outcome, "top1") is outcome
    changed = headline(outcome, "mean_per_class")
    assert changed.primary == "mean_per_class"
    assert changed.interval == accuracy_interval(labels, prediction, "mean_per_class")
