"""Two models on the same test samples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from results_factory import make_predictions, make_record
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from ssl_bench.errors import SettingsError, StoreError, UnknownNameError
from ssl_bench.protocols.metrics.detection import Table
from ssl_bench.reporting.compare import compare_models
from ssl_bench.results.parts import of_detections, of_lists, of_values
from ssl_bench.results.record import DatasetFacts
from ssl_bench.results.statistics import smallest_difference
from ssl_bench.results.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_difference_interval_and_p_value_on_the_same_samples(store: Store) -> None:
    a, b = make_predictions(400, 0.9, seed=1), make_predictions(400, 0.8, seed=2)
    order = np.random.default_rng(0).permutation(400)
    store.save(make_record("a"), a)
    store.save(make_record("b"), {name: array[order] for name, array in b.items()})
    ((found,), _) = compare_models(store, ["a", "b"])
    right_a, right_b = a["prediction"] == a["label"], b["prediction"] == b["label"]
    only_a, only_b = (right_a & ~right_b).sum(), (right_b & ~right_a).sum()
    assert (found.samples, found.only_a, found.only_b) == (400, only_a, only_b)
    assert (found.a, found.b) == pytest.approx((100 * right_a.mean(), 100 * right_b.mean()))
    assert found.difference == pytest.approx(100 * (only_a - only_b) / 400)
    assert found.low < found.difference < found.high
    assert found.p_value == pytest.approx(binomtest(int(only_a), int(only_a + only_b)).pvalue)
    ((back,), _) = compare_models(store, ["b", "a"])
    assert (back.difference, back.low, back.high) == pytest.approx((-found.difference, -found.high, -found.low))
    assert back.p_value == found.p_value


def test_one_model_is_no_pair(store: Store) -> None:
    store.save(make_record("a"), make_predictions())
    with pytest.raises(SettingsError, match="needs two models"):
        compare_models(store, ["a", "a"])


def test_each_shared_task_and_seed_is_compared(store: Store) -> None:
    for model in ("a", "b"):
        for task in ("knn_digits", "linear_digits"):
            store.save(make_record(model, task), make_predictions())
        store.save(make_record(model, "knn_digits", seed=1), make_predictions())
    store.save(make_record("a", "knn_other"), make_predictions())
    store.save(make_record("b", "throughput_x"))
    store.save(make_record("a", "throughput_x"))
    found, left_out = compare_models(store, ["a", "b"])
    assert {(c.task, c.seed) for c in found} == {("knn_digits", 0), ("knn_digits", 1), ("linear_digits", 0)}
    assert left_out == ["throughput_x seed 0: there are no saved predictions of a."]
    assert [c.task for c in compare_models(store, ["a", "b"], ["linear*"])[0]] == ["linear_digits"]
    with pytest.raises(StoreError, match="throughput_x seed 0: there are no saved predictions"):
        compare_models(store, ["a", "b"], ["throughput_x"])
    with pytest.raises(UnknownNameError, match="task that both models have"):
        compare_models(store, ["a", "b"], ["knn_other"])


def test_many_models_are_adjusted_together(store: Store) -> None:
    for seed, model in enumerate(("dino_a", "dino_b", "mae")):
        store.save(make_record(model), make_predictions(300, 0.9 - 0.06 * seed, seed=seed + 1))
    found, _ = compare_models(store, ["*"])
    assert [(c.model_a, c.model_b) for c in found] == [("dino_a", "dino_b"), ("dino_a", "mae"), ("dino_b", "mae")]
    assert [c.p_adjusted for c in found] == pytest.approx(multipletests([c.p_value for c in found], method="holm")[1])
    assert any(c.p_adjusted > c.p_value for c in found)
    with_one, _ = compare_models(store, ["dino*"], reference="mae")
    assert [(c.model_a, c.model_b, c.p_value) for c in with_one] == [
        (c.model_a, c.model_b, c.p_value) for c in found if c.model_b == "mae"
    ]


def test_what_the_samples_can_show_is_at_the_disagreement_found(store: Store) -> None:
    store.save(make_record("a"), make_predictions(2000, 0.9, seed=1))
    store.save(make_record("b"), make_predictions(2000, 0.88, seed=2))
    ((found,), _) = compare_models(store, ["a", "b"])
    share = (found.only_a + found.only_b) / 2000
    assert found.smallest == smallest_difference(2000, share)
    assert (found.p_value < 0.05) == (found.low > 0 or found.high < 0)
    assert found.test == "McNemar, exact"


def test_scores_that_are_no_accuracies_are_drawn_again(store: Store) -> None:
    rng = np.random.default_rng(0)
    base = rng.random(300)
    for model, gain in (("a", 0.05), ("b", 0.0), ("c", 0.0)):
        noise = 0.02 * rng.standard_normal(300)
        store.save(make_record(model, "attention_voc12", primary="jaccard"), of_values(base + gain + noise).arrays)
    (better, worse, same), _ = compare_models(store, ["a", "b", "c"])
    gain = 100 * np.mean(store_values(store, "a") - store_values(store, "b"))
    assert better.metric == "jaccard"
    assert better.difference == pytest.approx(gain)
    assert better.low < better.difference < better.high
    # The models agree on which images are hard: the paired interval is far narrower than one of a model's own.
    assert better.high - better.low < 0.2 * 2 * 1.96 * 100 * base.std() / 300**0.5
    assert better.p_adjusted < 1e-6
    assert worse.p_value < 1e-6
    assert same.p_value > 0.01
    assert (better.only_a, better.test) == (None, "bootstrap")


def store_values(store: Store, model: str) -> np.ndarray:
    (record,) = [record for record in store.all() if record.model == model]
    return store.predictions(record)["part"][:, 0]


def test_mean_per_class_weighs_classes_equally(store: Store) -> None:
    label = np.array([0] * 90 + [1] * 10)
    index, score = np.arange(100), np.zeros(100, np.float32)
    for model, wrong in (("a", slice(0, 0)), ("b", slice(90, 95))):
        prediction = label.copy()
        prediction[wrong] = 0
        record = make_record(model, primary="mean_per_class")
        store.save(record, {"index": index, "label": label, "prediction": prediction, "score": score})
    ((found,), _) = compare_models(store, ["a", "b"])
    assert (found.metric, found.a, found.b) == ("mean_per_class", 100.0, 75.0)
    assert found.interval == "paired, bootstrap"
    assert found.low < 25 < found.high


def test_other_images_labels_or_versions_are_refused(store: Store) -> None:
    store.save(make_record("a"), make_predictions())
    other = DatasetFacts(name="digits", fingerprint="0" * 64, n_train=1, n_test=100, classes=10)
    store.save(make_record("b", dataset=other), make_predictions())
    with pytest.raises(StoreError, match="measured on different images"):
        compare_models(store, ["a", "b"])
    wrong = make_predictions()
    store.save(make_record("c"), {**wrong, "label": wrong["label"][::-1].copy()})
    with pytest.raises(StoreError, match="not about the same test images"):
        compare_models(store, ["a", "c"])


def test_unknown_models_and_nothing_in_common(store: Store) -> None:
    store.save(make_record("dino_vits16"), make_predictions())
    store.save(make_record("mae_vitb16", seed=5), make_predictions())
    with pytest.raises(UnknownNameError, match="Did you mean: dino_vits16"):
        compare_models(store, ["dino_vits61", "mae_vitb16"])
    with pytest.raises(StoreError, match="share no task and seed"):
        compare_models(store, ["dino_vits16", "mae_vitb16"])


def test_no_comparison_imports_torch(store: Store) -> None:
    table = Table(np.ones((4, 2), int), [(np.arange(4), np.ones((4, 10), np.int8))] * 2, "points101")
    rng = np.random.default_rng(0)
    for model in ("a", "b"):
        store.save(make_record(model, "detect_coco", primary="ap"), of_detections(table, 10).arrays)
        lists = of_lists(np.eye(4, dtype=int), rng.random((4, 4)), "step")
        store.save(make_record(model, "svm_voc07", primary="map"), lists.arrays)
        store.save(make_record(model), make_predictions())
    code = (
        "import sys\n"
        "from ssl_bench.reporting.compare import compare_models\n"
        "from ssl_bench.results.store import Store\n"
        "found, left_out = compare_models(Store(sys.argv[1]), ['a', 'b'])\n"
        "print(len(found), left_out, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, store.root], capture_output=True, text=True, check=True)
    assert done.stdout == "3 [] False\n"
