"""Two models on the same test samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from results_factory import make_predictions, make_record
from scipy.stats import binomtest

from ssl_bench.errors import StoreError, UnknownNameError
from ssl_bench.reporting.compare import compare_models
from ssl_bench.results.record import DatasetFacts
from ssl_bench.results.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_difference_interval_and_p_value_on_the_same_samples(store: Store) -> None:
    a, b = make_predictions(400, 0.9, seed=1), make_predictions(400, 0.8, seed=2)
    order = np.random.default_rng(0).permutation(400)
    store.save(make_record("a"), a)
    store.save(make_record("b"), {name: array[order] for name, array in b.items()})
    (found,) = compare_models(store, "a", "b")
    right_a, right_b = a["prediction"] == a["label"], b["prediction"] == b["label"]
    only_a, only_b = (right_a & ~right_b).sum(), (right_b & ~right_a).sum()
    assert (found.samples, found.only_a, found.only_b) == (400, only_a, only_b)
    assert (found.a, found.b) == pytest.approx((100 * right_a.mean(), 100 * right_b.mean()))
    assert found.difference == pytest.approx(100 * (only_a - only_b) / 400)
    assert found.low < found.difference < found.high
    assert found.p_value == pytest.approx(binomtest(int(only_a), int(only_a + only_b)).pvalue)
    (back,) = compare_models(store, "b", "a")
    assert (back.difference, back.low, back.high) == pytest.approx((-found.difference, -found.high, -found.low))
    assert back.p_value == found.p_value


def test_a_model_with_itself_is_no_different(store: Store) -> None:
    store.save(make_record("a"), make_predictions())
    (found,) = compare_models(store, "a", "a")
    assert (found.difference, found.p_value) == (0.0, 1.0)


def test_each_shared_task_and_seed_is_compared(store: Store) -> None:
    for model in ("a", "b"):
        for task in ("knn_digits", "linear_digits"):
            store.save(make_record(model, task), make_predictions())
        store.save(make_record(model, "knn_digits", seed=1), make_predictions())
    store.save(make_record("a", "knn_other"), make_predictions())
    store.save(make_record("b", "throughput_x"))
    store.save(make_record("a", "throughput_x"))
    assert {(c.task, c.seed) for c in compare_models(store, "a", "b")} == {
        ("knn_digits", 0),
        ("knn_digits", 1),
        ("linear_digits", 0),
    }
    assert [c.task for c in compare_models(store, "a", "b", ["linear*"])] == ["linear_digits"]
    with pytest.raises(StoreError, match="throughput_x: there are no saved predictions"):
        compare_models(store, "a", "b", ["throughput_x"])
    with pytest.raises(UnknownNameError, match="task that both models have"):
        compare_models(store, "a", "b", ["knn_other"])


def test_mean_per_class_weighs_classes_equally(store: Store) -> None:
    label = np.array([0] * 90 + [1] * 10)
    index, score = np.arange(100), np.zeros(100, np.float32)
    for model, wrong in (("a", slice(0, 0)), ("b", slice(90, 95))):
        prediction = label.copy()
        prediction[wrong] = 0
        record = make_record(model, primary="mean_per_class")
        store.save(record, {"index": index, "label": label, "prediction": prediction, "score": score})
    (found,) = compare_models(store, "a", "b")
    assert (found.metric, found.a, found.b) == ("mean_per_class", 100.0, 75.0)
    assert found.interval == "paired, bootstrap"
    assert found.low < 25 < found.high


def test_other_images_labels_or_versions_are_refused(store: Store) -> None:
    store.save(make_record("a"), make_predictions())
    other = DatasetFacts(name="digits", fingerprint="0" * 64, n_train=1, n_test=100, classes=10)
    store.save(make_record("b", dataset=other), make_predictions())
    with pytest.raises(StoreError, match="measured on different images"):
        compare_models(store, "a", "b")
    wrong = make_predictions()
    store.save(make_record("c"), {**wrong, "label": wrong["label"][::-1].copy()})
    with pytest.raises(StoreError, match="not about the same test images"):
        compare_models(store, "a", "c")


def test_unknown_models_and_nothing_in_common(store: Store) -> None:
    store.save(make_record("dino_vits16"), make_predictions())
    store.save(make_record("mae_vitb16", seed=5), make_predictions())
    with pytest.raises(UnknownNameError, match="Did you mean: dino_vits16"):
        compare_models(store, "dino_vits61", "mae_vitb16")
    with pytest.raises(StoreError, match="share no task and seed"):
        compare_models(store, "dino_vits16", "mae_vitb16")
