"""Segmentation, depth and multi-label scores against torchmetrics, scikit-learn and ten-line restatements."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, jaccard_score

from ssl_bench.errors import DataError
from ssl_bench.protocols.metrics.confusion import Confusion
from ssl_bench.protocols.metrics.depth import DepthScore
from ssl_bench.protocols.metrics.multilabel import f1_scores, top_labels


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_miou_is_scikit_learns_over_the_whole_set(seed: int, parts: int) -> None:
    random = np.random.RandomState(seed)
    truth, guess = random.randint(0, 4, (6, 5, 5)), random.randint(0, 4, (6, 5, 5))
    truth[random.rand(6, 5, 5) < 0.2] = 255
    confusion = Confusion(6)  # two classes never occur
    for rows in np.array_split(np.arange(6), parts):
        confusion.add(truth[rows], guess[rows])
    known = truth != 255
    expected = jaccard_score(truth[known], guess[known], labels=range(4), average=None, zero_division=0)
    np.testing.assert_allclose(confusion.iou()[:4], expected)
    assert np.isnan(confusion.iou()[4:]).all()
    assert confusion.scores()["miou"] == pytest.approx(100 * expected.mean())
    assert confusion.scores()["pixel_accuracy"] == pytest.approx(100 * (truth == guess)[known].mean())


def test_the_mean_over_images_would_be_another_number() -> None:
    confusion = Confusion(2)
    confusion.add(np.zeros((1, 10), int), np.zeros((1, 10), int))
    confusion.add(np.array([[1, 0]]), np.array([[0, 0]]))
    assert confusion.scores()["miou"] == pytest.approx(100 * (11 / 12 + 0) / 2)


@pytest.mark.parametrize("which", ["truth", "prediction"])
def test_a_class_that_there_is_not(which: str) -> None:
    maps = {"truth": np.zeros((2, 2), int), "prediction": np.zeros((2, 2), int)}
    maps[which][0, 0] = 7
    with pytest.raises(DataError, match="a.png: the .* has class 7, and there are 3 classes"):
        Confusion(3).add(maps["truth"], maps["prediction"], "a.png")
    with pytest.raises(DataError, match="label map is"):
        Confusion(3).add(np.zeros((2, 2), int), np.zeros((2, 3), int))


def test_nothing_added_is_no_score() -> None:
    assert np.isnan(Confusion(3).scores()["miou"])
    assert np.isnan(DepthScore().scores()["rel"])


def test_depth_written_out() -> None:
    random = np.random.RandomState(0)
    truth, guess = random.uniform(0.5, 12, (4, 6, 6)), random.uniform(0.5, 12, (4, 6, 6))
    truth[random.rand(4, 6, 6) < 0.3] = 0
    score = DepthScore()
    for t, g in zip(truth, guess, strict=True):
        score.add(t, g)
    known = (truth > 0) & (truth <= 10)
    g, d = truth[known], np.minimum(guess[known], 10)
    found = score.scores()
    assert found["rel"] == pytest.approx(np.mean(abs(d - g) / g))
    assert found["rms"] == pytest.approx(np.sqrt(np.mean((d - g) ** 2)))
    assert found["log10"] == pytest.approx(np.mean(abs(np.log10(d) - np.log10(g))))
    assert found["rms_log"] == pytest.approx(np.sqrt(np.mean((np.log(d) - np.log(g)) ** 2)))
    for k in (1, 2, 3):
        assert found[f"delta{k}"] == pytest.approx(100 * np.mean(np.maximum(d / g, g / d) < 1.25**k))


def test_a_perfect_depth_map() -> None:
    score = DepthScore()
    score.add(np.array([[1.0, 2.0, 0.0]]), np.array([[1.0, 2.0, 9.0]]))
    assert score.scores() == {
        "rel": 0.0, "rms": 0.0, "log10": 0.0, "rms_log": 0.0, "delta1": 100.0, "delta2": 100.0, "delta3": 100.0,
    }  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000))
def test_f1_is_scikit_learns(seed: int) -> None:
    random = np.random.RandomState(seed)
    truth, guess = random.rand(12, 5) < 0.4, random.rand(12, 5) < 0.4
    found = f1_scores(truth.astype(np.int8), guess)
    assert found["overall_f1"] == pytest.approx(100 * f1_score(truth, guess, average="micro", zero_division=0))
    assert found["mean_class_f1"] == pytest.approx(100 * f1_score(truth, guess, average="macro", zero_division=0))
    hit = (truth & guess).sum(0)
    cp, cr = np.mean(hit / np.maximum(guess.sum(0), 1)), np.mean(hit / np.maximum(truth.sum(0), 1))
    assert found["per_class_f1"] == pytest.approx(100 * 2 * cp * cr / max(cp + cr, 1e-12))


def test_left_out_labels_count_nowhere() -> None:
    present = np.array([[1, -1], [0, 1]], dtype=np.int8)
    assert f1_scores(present, np.array([[True, True], [False, True]]))["overall_f1"] == 100


def test_top_labels() -> None:
    assert top_labels(np.array([[0.1, 0.5, 0.5, 0.2]]), 2).tolist() == [[False, True, True, False]]
