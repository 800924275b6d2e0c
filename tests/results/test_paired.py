"""Paired differences of any score, against scipy's bootstrap, analytic intervals and the metrics themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, ttest_1samp, ttest_rel

from ssl_bench.protocols.metrics.average_precision import mean_average_precision
from ssl_bench.protocols.metrics.detection import THRESHOLDS, Table
from ssl_bench.results.paired import by_standard_error, paired_means_per_class, paired_scores
from ssl_bench.results.parts import Parts, of_detections, of_lists, of_ratios, of_values
from ssl_bench.results.statistics import paired_difference


def once(parts: Parts) -> float:
    return parts.score()(np.ones(len(parts.arrays["index"]), dtype=int))


def test_difference_of_means_agrees_with_scipy() -> None:
    rng = np.random.default_rng(1)
    a = rng.random(400)
    b = a + 0.1 * rng.standard_normal(400) - 0.01
    found = paired_scores(400, of_values(a).score(), of_values(b).score())
    expected = bootstrap((100 * (a - b),), np.mean, n_resamples=4000, rng=rng, method="basic").confidence_interval
    assert found.difference == pytest.approx(100 * np.mean(a - b))
    assert (found.interval.low, found.interval.high) == pytest.approx(expected, abs=0.1)
    assert found.p_value == pytest.approx(ttest_rel(a, b).pvalue, rel=0.3)
    # Of a test that finds its own estimate significant half of the time, 80 % need (1.96 + 0.84) / 1.96 of the margin.
    margin = (found.interval.high - found.interval.low) / 2
    assert found.smallest == pytest.approx(margin * 2.8016 / 1.96, rel=1e-3)


@settings(deadline=None)
@given(st.integers(3, 200), st.integers(0, 1000))
def test_the_standard_error_of_a_mean_gives_the_paired_t_test(images: int, seed: int) -> None:
    gain = np.random.default_rng(seed).standard_normal(images) + 0.2
    found = by_standard_error(float(gain.mean()), float(gain.std() / images**0.5), images)
    expected = ttest_1samp(gain, 0)
    assert found.p_value == pytest.approx(max(expected.pvalue, 2.0 ** (1 - images)))
    limits = expected.confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == pytest.approx((limits.low, limits.high))


@settings(deadline=None)
@given(st.floats(-20, 20), st.floats(0.01, 10), st.integers(2, 1000))
def test_interval_and_p_value_agree(difference: float, error: float, images: int) -> None:
    found = by_standard_error(difference, error, images)
    outside = found.interval.low > 0 or found.interval.high < 0
    floor = 2.0 ** (1 - images)
    assert outside == (found.p_value < 0.05) or found.p_value == floor
    back = by_standard_error(-difference, error, images)
    assert (back.p_value, -back.interval.high) == (found.p_value, found.interval.low)


def test_nothing_to_tell_apart() -> None:
    same = of_values(np.full(10, 0.5)).score()
    found = paired_scores(10, same, same)
    assert (found.difference, found.p_value, found.smallest) == (0, 1, 0)
    # Every one of five images says the same: no test of five images can be surer than a sign test.
    found = paired_scores(5, of_values(np.full(5, 0.6)).score(), of_values(np.full(5, 0.5)).score())
    assert found.p_value == 2**-4
    alone = paired_scores(1, of_values(np.ones(1)).score(), of_values(np.zeros(1)).score())
    assert (alone.p_value, alone.interval.low, alone.interval.high) == (1, -np.inf, np.inf)


def test_a_hypothesis_that_holds_is_rejected_as_rarely_as_said() -> None:
    rng = np.random.default_rng(2)
    found = []
    for _ in range(300):
        base, noise = rng.random(60), 0.2 * rng.standard_normal((2, 60))
        a, b = of_values(base + noise[0]).score(), of_values(base + noise[1]).score()
        found.append(paired_scores(60, a, b, resamples=200).p_value < 0.05)
    assert np.mean(found) == pytest.approx(0.05, abs=0.03)


def test_balanced_classes_agree_with_the_analytic_interval() -> None:
    rng = np.random.default_rng(4)
    label = np.repeat(np.arange(10), 300)
    a, b = rng.random(3000) < 0.85, rng.random(3000) < 0.8
    analytic = paired_difference(int((a & ~b).sum()), int((b & ~a).sum()), 3000)
    found = paired_means_per_class(label, a, b)
    assert found.interval.low == pytest.approx(analytic.low, abs=0.25)
    assert found.interval.high == pytest.approx(analytic.high, abs=0.25)
    assert found.difference == pytest.approx(100 * (a.mean() - b.mean()))


def test_classes_count_equally() -> None:
    # One rare class where only the first is right, one common class where both always are.
    label = np.array([0] * 10 + [1] * 990)
    found = paired_means_per_class(label, np.ones(1000, bool), label == 1)
    assert found.difference == pytest.approx(50)
    assert (found.interval.low, found.interval.high) == pytest.approx((50, 50))


def test_ratios_are_summed_before_they_are_divided() -> None:
    part, whole = np.array([[1, 0], [8, 3]]), np.array([[10, 0], [10, 4]])
    assert once(of_ratios(part, whole)) == pytest.approx(100 * (9 / 20 + 3 / 4) / 2)
    assert of_ratios(part, whole).score()(np.array([2, 0])) == pytest.approx(10)
    assert np.isnan(of_ratios(part * 0, whole * 0).score()(np.ones(2, int)))


def test_values_that_are_not_there_are_left_out() -> None:
    parts = of_values(np.array([0.2, np.nan, 0.6]), np.array([7, 8, 9]))
    assert parts.arrays["index"].tolist() == [7, 9]
    assert once(parts) == pytest.approx(40)


@pytest.mark.parametrize("rule", ["step", "area", "points11"])
def test_drawn_lists_are_lists_with_copies(rule: str) -> None:
    rng = np.random.default_rng(5)
    present = rng.integers(-1, 2, (50, 4))
    scores = rng.standard_normal((50, 4)) + present
    counts = np.bincount(rng.integers(0, 50, 50), minlength=50)
    rows = np.repeat(np.arange(50), counts)
    expected = 100 * mean_average_precision(present[rows], scores[rows], rule)[0]
    assert of_lists(present, scores, rule).score()(counts) == pytest.approx(expected)


@pytest.mark.parametrize("thresholds", [1, 10])
def test_saved_detections_give_the_tables_score(thresholds: int) -> None:
    rng = np.random.default_rng(6)
    images, classes = 12, 3
    by_class = []
    for c in range(classes):
        rows = rng.integers(0, images - 1, 30 * c)  # none of class 0, none in the last image
        by_class.append((rows, rng.integers(-1, 2, (len(rows), len(THRESHOLDS))).astype(np.int8)))
    table = Table(rng.integers(1, 20, (images, classes)), by_class, "points101")
    parts = of_detections(table, thresholds)
    assert {len(array) for array in parts.arrays.values()} == {images}
    counts = np.bincount(rng.integers(0, images, images), minlength=images)
    assert once(parts) == pytest.approx(table.mean(slice(0, thresholds)))
    assert parts.score()(counts) == pytest.approx(table.mean(slice(0, thresholds), counts))


def test_rows_are_those_chosen() -> None:
    parts = of_lists(np.eye(4, dtype=int), np.arange(16.0).reshape(4, 4), "step").rows(np.array([2, 0]))
    assert parts.arrays["index"].tolist() == [2, 0]
    assert parts.arrays["present"].argmax(1).tolist() == [2, 0]
