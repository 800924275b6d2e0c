"""Intervals and tests against scipy, statsmodels and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, bootstrap, chi2, norm
from statsmodels.stats.contingency_tables import mcnemar as sm_mcnemar
from statsmodels.stats.multitest import multipletests

from ssl_bench.results.statistics import holm, mcnemar, paired_difference, smallest_difference, spread, wilson


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


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_agrees_with_statsmodels(b: int, c: int) -> None:
    expected = sm_mcnemar([[5, b], [c, 7]], exact=True).pvalue
    assert mcnemar(b, c) == pytest.approx(min(1.0, expected), abs=1e-12)


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


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_agrees_with_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_holm_of_nothing() -> None:
    assert holm([]) == []


@pytest.mark.parametrize(("total", "discordant"), [(1000, 0.1), (10_000, 0.05), (400, 0.3)])
def test_the_smallest_difference_is_shown_four_times_of_five(total: int, discordant: float) -> None:
    """By drawing tables with that difference: statsmodels' McNemar without correction, which the formula is about."""
    d = smallest_difference(total, discordant) / 100
    shares = [(discordant + d) / 2, (discordant - d) / 2, 1 - discordant]
    drawn = np.random.default_rng(0).multinomial(total, shares, size=2000)
    rejected = [sm_mcnemar([[0, b], [c, 0]], exact=False, correction=False).pvalue < 0.05 for b, c, _ in drawn if b + c]
    assert np.mean(rejected) == pytest.approx(0.8, abs=0.03)


@settings(deadline=None)
@given(st.integers(4, 100_000), st.floats(1e-4, 1), st.floats(0.5, 0.95))
def test_the_smallest_difference_solves_its_equation(total: int, share: float, power: float) -> None:
    d = smallest_difference(total, share, power=power) / 100
    used = max(share, d)  # where too few samples disagree, all that do speak for one model
    left = norm.ppf(0.975) * used**0.5 + norm.ppf(power) * max(used - d * d, 0) ** 0.5
    assert total**0.5 * d == pytest.approx(left, rel=1e-6)
    assert smallest_difference(4 * total, share, power=power) < 100 * d


def test_too_few_samples_show_nothing() -> None:
    assert math.isnan(smallest_difference(3, 1.0))
    with pytest.raises(ValueError, match="is none"):
        smallest_difference(10, 1.5)
