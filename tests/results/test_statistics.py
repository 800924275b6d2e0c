"""Intervals and tests against scipy and against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, bootstrap, chi2

from ssl_bench.results.statistics import mcnemar, paired_bootstrap, paired_difference, spread, wilson


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 5000), st.floats(0, 1), st.sampled_from([0.9, 0.95, 0.99]))
def test_wilson_agrees_with_scipy(total: int, share: float, level: float) -> None:
    correct = round(share * total)
    expected = binomtest(correct, total).proportion_ci(level, method="wilson")
    interval = wilson(correct, total, level)
    assert interval.low == pytest.approx(100 * expected.low, abs=1e-9)
    assert interval.high == pytest.approx(100 * expected.high, abs=1e-9)
    assert interval.level == level


@pytest.mark.parametrize(("correct", "total"), [(-1, 5), (6, 5), (0, 0)])
def test_wilson_refuses_what_is_no_proportion(correct: int, total: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson(correct, total)


def test_spread_is_mean_and_sample_deviation() -> None:
    interval = spread([70.0, 72.0, 77.0])
    assert (interval.low + interval.high) / 2 == pytest.approx(73.0)
    assert (interval.high - interval.low) / 2 == pytest.approx(np.std([70, 72, 77], ddof=1))
    assert interval.level == 0
    assert spread([5.0]).low == spread([5.0]).high == 5.0


def test_mcnemar_is_the_exact_binomial_sum() -> None:
    # Two-sided: 2 * P(X <= 2) of 12 fair coins = 2 * (1 + 12 + 66) / 4096.
    assert mcnemar(2, 10) == pytest.approx(2 * 79 / 4096)
    assert mcnemar(10, 2) == mcnemar(2, 10)
    assert mcnemar(0, 0) == 1.0
    with pytest.raises(ValueError, match="no counts"):
        mcnemar(-1, 3)


def test_mcnemar_approaches_chi_square_with_continuity_correction() -> None:
    b, c = 5200, 5000
    expected = chi2.sf((abs(b - c) - 1) ** 2 / (b + c), df=1)
    assert mcnemar(b, c) == pytest.approx(expected, rel=0.01)


def test_paired_difference_agrees_with_a_bootstrap_of_many_samples() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random(4000) < 0.8, rng.random(4000) < 0.7
    gain = a.astype(float) - b
    expected = bootstrap((gain,), np.mean, n_resamples=4000, rng=np.random.default_rng(2)).confidence_interval
    interval = paired_difference(int((a & ~b).sum()), int((b & ~a).sum()), 4000)
    assert interval.low == pytest.approx(100 * expected.low, abs=0.15)
    assert interval.high == pytest.approx(100 * expected.high, abs=0.15)


def test_paired_difference_covers_the_truth_on_small_samples() -> None:
    rng = np.random.default_rng(3)
    n, trials = 50, 2000
    # Cells: both right, only a, only b, neither; the true difference is 0.15 - 0.05.
    tables = rng.multinomial(n, [0.6, 0.15, 0.05, 0.2], size=trials)
    inside = 0
    for _, only_a, only_b, _ in tables:
        interval = paired_difference(int(only_a), int(only_b), n)
        inside += interval.low <= 10.0 <= interval.high
    assert inside / trials == pytest.approx(0.95, abs=0.02)


def test_paired_difference_is_antisymmetric_and_never_a_point() -> None:
    one, other = paired_difference(12, 5, 100), paired_difference(5, 12, 100)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    same = paired_difference(0, 0, 30)
    assert same.low < 0 < same.high
    with pytest.raises(ValueError, match="no counts"):
        paired_difference(20, 20, 30)


def test_paired_bootstrap_of_balanced_classes_agrees_with_the_analytic_interval() -> None:
    rng = np.random.default_rng(4)
    label = np.repeat(np.arange(10), 300)
    a, b = rng.random(3000) < 0.85, rng.random(3000) < 0.8
    analytic = paired_difference(int((a & ~b).sum()), int((b & ~a).sum()), 3000)
    resampled = paired_bootstrap(label, a, b)
    assert resampled.low == pytest.approx(analytic.low, abs=0.25)
    assert resampled.high == pytest.approx(analytic.high, abs=0.25)


def test_paired_bootstrap_weighs_classes_equally() -> None:
    # One rare class where only the first is right, one common class where both always are.
    label = np.array([0] * 10 + [1] * 990)
    a, b = np.ones(1000, bool), label == 1
    interval = paired_bootstrap(label, a, b)
    assert (interval.low, interval.high) == pytest.approx((50.0, 50.0))
