"""k-NN: the official script's numbers, a naive restatement, and what may not change a result."""

import numpy as np
import pytest
import torch
from conformance.golden_features import Golden, golden_features
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_bench.compute import Compute
from ssl_bench.data.features import Features
from ssl_bench.errors import FeatureError, SettingsError
from ssl_bench.protocols import neighbours
from ssl_bench.protocols.knn import Knn, KnnSettings
from ssl_bench.protocols.protocol import Outcome
from ssl_bench.results.statistics import wilson
from ssl_bench.settings import resolve


def knn(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], **given: object) -> Outcome:
    classes = int(max(train[1].max(), test[1].max())) + 1
    chosen = resolve(KnnSettings, given, "knn")
    return Knn().evaluate_features(Features.of(*train, classes), Features.of(*test, classes), chosen, Compute())


def on(golden: Golden, **given: object) -> Outcome:
    return knn((golden.train_x, golden.train_y), (golden.test_x, golden.test_y), **given)


@pytest.mark.parametrize("backend", ["faiss", "torch"])
@pytest.mark.parametrize(
    ("k", "temperature", "top1", "top5"),
    [
        (1, 0.07, 48.2609, 48.2609),
        (10, 0.07, 53.4783, 93.0435),
        (20, 0.07, 55.2174, 94.7826),
        (100, 0.07, 56.5217, 95.2174),
        (200, 0.07, 56.5217, 95.2174),
        (20, 1, 57.3913, 95.6522),
        (20, 1e9, 56.5217, None),  # equal weights: the fifth place is a tie, and DINO's script leaves it to the sort
    ],
)
def test_numbers_of_the_official_script(backend: str, k: int, temperature: float, top1: float, top5: float) -> None:
    """DINO's function on the reference's features (section 16.2); k = 10 has queries with fewer than five classes, whose
    missing places the script fills with classes 10 to 999, as good as nowhere."""
    outcome = on(golden_features(), k=k, temperature=temperature, backend=backend)
    assert outcome.metrics["top1"] == outcome.metrics[f"top1_k{k}"] == pytest.approx(top1, abs=5e-5)
    if top5 is not None:
        assert outcome.metrics[f"top5_k{k}"] == pytest.approx(top5, abs=5e-5)


def test_the_headline_is_k_20_with_its_interval_and_predictions() -> None:
    golden = golden_features()
    outcome = on(golden)
    assert set(outcome.metrics) == {f"top{n}_k{k}" for n in (1, 5) for k in (10, 20, 100, 200)} | {
        "top1",
        "mean_per_class",
    }
    assert outcome.metrics["top1"] == outcome.metrics["top1_k20"]
    assert outcome.predictions is not None
    right = int((outcome.predictions.prediction == golden.test_y).sum())
    assert outcome.interval == wilson(right, 230)
    assert outcome.metrics["top1"] == pytest.approx(100 * right / 230)
    assert outcome.predictions.index.tolist() == list(range(230))
    assert ((outcome.predictions.score > 0) & (outcome.predictions.score <= 1)).all()


def test_mean_per_class_weighs_classes_equally() -> None:
    x = np.eye(3, dtype=np.float32)
    outcome = knn((x, np.array([0, 1, 1])), (x[[0, 0, 0, 0, 1]], np.array([0, 0, 0, 1, 1])), k=1)
    assert outcome.metrics["mean_per_class"] == pytest.approx(100 * (1 + 1 / 2) / 2)
    assert outcome.metrics["top1"] == pytest.approx(80.0)


def naive(
    train: np.ndarray, y: np.ndarray, test: np.ndarray, truth: np.ndarray, k: int, t: float
) -> tuple[float, float]:
    """The rule, one image after the other, in double precision."""
    train, test = (z.astype(float) / np.linalg.norm(z.astype(float), axis=1, keepdims=True) for z in (train, test))
    right = [0, 0]
    for x, label in zip(test, truth, strict=True):
        similarity = train @ x
        scores: dict[int, float] = {}
        for i in np.argsort(-similarity, kind="stable")[:k]:
            scores[int(y[i])] = scores.get(int(y[i]), 0.0) + np.exp(similarity[i] / t)
        order = sorted(scores, key=lambda c: -scores[c])
        right[0] += order[0] == label
        right[1] += int(label) in order[: min(5, k)]
    return 100 * right[0] / len(truth), 100 * right[1] / len(truth)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 60),
    m=st.integers(1, 30),
    dim=st.integers(2, 20),
    classes=st.integers(1, 30),
    k=st.integers(1, 60),
    temperature=st.sampled_from([0.03, 0.07, 1.0]),
)
def test_any_size_agrees_with_the_naive_rule(
    seed: int, n: int, m: int, dim: int, classes: int, k: int, temperature: float
) -> None:
    random, k = np.random.default_rng(seed), min(n, k)
    train, test = random.normal(size=(n, dim)).astype(np.float32), random.normal(size=(m, dim)).astype(np.float32)
    y, truth = random.integers(0, classes, n), random.integers(0, classes, m)
    outcome = knn((train, y), (test, truth), k=k, temperature=temperature)
    expected = naive(train, y, test, truth, k, temperature)
    assert (outcome.metrics["top1"], outcome.metrics[f"top5_k{k}"]) == pytest.approx(expected)


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    backend=st.sampled_from(["faiss", "torch"]),
    precision=st.sampled_from(["fp32", "bf16_rerank"]),
    queries=st.integers(1, 40),
    block=st.integers(1, 150),
    twins=st.booleans(),
)
def test_backend_precision_and_chunks_do_not_matter(
    seed: int, backend: str, precision: str, queries: int, block: int, twins: bool
) -> None:
    """Also where the same vector is there several times with different labels (``twins``)."""
    random = np.random.default_rng(seed)
    train = random.normal(size=(150, 8)).astype(np.float32)
    if twins:
        train[50:100] = train[:50]
    test = np.concatenate([train[40:60], random.normal(size=(20, 8)).astype(np.float32)])
    y, truth = random.integers(0, 7, 150), random.integers(0, 7, 40)
    expected = knn((train, y), (test, truth), k=[1, 3, 20])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "QUERIES", queries)
        patch.setattr(neighbours, "BLOCK_BYTES", 4 * 8 * block)
        found = knn((train, y), (test, truth), k=[20, 3, 1], backend=backend, search_precision=precision)
    assert found.metrics == expected.metrics
    assert found.predictions is not None
    assert expected.predictions is not None
    np.testing.assert_array_equal(found.predictions.prediction, expected.predictions.prediction)
    np.testing.assert_array_equal(found.predictions.score, expected.predictions.score)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_order_and_length_of_the_vectors_do_not_matter(seed: int) -> None:
    random, golden = np.random.default_rng(seed), golden_features(n_train=120, n_test=50)
    train_order, test_order = random.permutation(120), random.permutation(50)
    expected = on(golden, k=[5, 20]).predictions
    lengths = 2.0 ** random.integers(-20, 20, size=(120, 1)).astype(np.float32)  # powers of two round nothing
    found = knn(
        (golden.train_x[train_order] * lengths, golden.train_y[train_order]),
        (golden.test_x[test_order], golden.test_y[test_order]),
        k=[5, 20],
    ).predictions
    assert found is not None
    assert expected is not None
    np.testing.assert_array_equal(found.prediction, expected.prediction[test_order])
    np.testing.assert_array_equal(found.score, expected.score[test_order])


def test_equal_similarity_goes_to_the_lower_row_and_equal_score_to_the_nearer_class() -> None:
    x = np.array([[1, 0], [1, 0], [0, 1], [3, 4]], dtype=np.float32)
    query = (np.array([[1, 0]], dtype=np.float32), np.array([0]))
    first = knn((x, np.array([2, 1, 0, 0])), query, k=1).predictions
    assert first is not None
    assert first.prediction.tolist() == [2]
    tie = knn((x, np.array([2, 1, 0, 0])), query, k=2).predictions
    assert tie is not None
    assert (tie.prediction.tolist(), tie.score.tolist()) == ([2], [0.5])


def test_a_class_without_a_vote_is_never_among_the_first_five() -> None:
    x = np.eye(6, dtype=np.float32)
    outcome = knn((x, np.array([1, 1, 1, 1, 1, 0])), (x[:1], np.array([0])), k=[5, 6])
    assert (outcome.metrics["top5_k5"], outcome.metrics["top5_k6"]) == (0.0, 100.0)


@pytest.mark.parametrize("temperature", [1e-6, 1e-3, 1e12])
def test_no_temperature_overflows(temperature: float) -> None:
    outcome = on(golden_features(), k=20, temperature=temperature)
    expected = 48.2609 if temperature < 1 else 56.5217  # the nearest neighbour decides; all neighbours count the same
    assert outcome.metrics["top1"] == pytest.approx(expected, abs=5e-5)
    assert outcome.predictions is not None
    assert np.isfinite(outcome.predictions.score).all()


def test_half_precision_features_give_the_same_numbers() -> None:
    golden = golden_features()
    half = golden._replace(train_x=golden.train_x.astype(np.float16), test_x=golden.test_x.astype(np.float16))
    assert on(half, k=20).metrics["top1"] == on(golden, k=20).metrics["top1"]


def test_small_data_cuts_the_default_k_and_says_so() -> None:
    golden = golden_features(n_train=50, n_test=20)
    outcome = on(golden)
    assert {name for name in outcome.metrics if name.startswith("top1_")} == {"top1_k10", "top1_k20"}
    assert outcome.details["note"] == "k = [100, 200] left out: there are 50 training images"
    tiny = on(golden_features(n_train=3, n_test=20, classes=3))
    assert tiny.metrics["top1"] == tiny.metrics["top1_k3"]


def test_a_k_of_the_user_must_fit() -> None:
    with pytest.raises(SettingsError, match=r"k = 60 .* 50 training images[^`]*--set k=") as error:
        on(golden_features(n_train=50), k=[10, 60])
    assert error.value.exit_code == 2
    assert on(golden_features(n_train=50), k=50).metrics["top1"] > 0


@pytest.mark.parametrize(
    "wrong", [{"k": []}, {"k": [0]}, {"k": "ten"}, {"temperature": 0}, {"backend": "annoy"}, {"T": 0.1}]
)
def test_wrong_settings_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        resolve(KnnSettings, wrong, "knn")


def test_vectors_without_direction_are_named() -> None:
    golden = golden_features()
    zero = golden.test_x.copy()
    zero[[7, 9]] = 0
    with pytest.raises(FeatureError, match="2 test features have no direction; the first is row 7"):
        on(golden._replace(test_x=zero))


@pytest.mark.gpu
@pytest.mark.parametrize("backend", ["auto", "faiss", "torch"])
@pytest.mark.parametrize("precision", ["fp32", "bf16_rerank"])
def test_gpu_gives_the_numbers_of_the_processor(backend: str, precision: str) -> None:
    golden = golden_features(0, 50, 64, 5000, 500)
    chosen = KnnSettings(backend=backend, search_precision=precision)  # type: ignore[arg-type]
    train, test = Features.of(golden.train_x, golden.train_y), Features.of(golden.test_x, golden.test_y)
    found = Knn().evaluate_features(train, test, chosen, Compute(device=torch.device("cuda", 0)))
    assert found.metrics == on(golden).metrics
