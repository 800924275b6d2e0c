"""Golden values (protocols.md 16.5), scikit-learn, and the definitions written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from ssl_bench.protocols.metrics.average_precision import Rule, average_precision, mean_average_precision

LIST = np.array([1, 0, 1, 1, 0, 0, 1, 0, 0, 0], dtype=bool)
SCORES = np.linspace(1, 0, 10)


@pytest.mark.parametrize(
    ("rule", "value"), [("area", 0.767857), ("step", 0.747024), ("points11", 0.769481), ("points101", 0.770156)]
)
def test_golden_values(rule: Rule, value: float) -> None:
    assert average_precision(LIST, SCORES, rule) == pytest.approx(value, abs=1e-6)


def naive(positive: np.ndarray, score: np.ndarray, points: int) -> float:
    """Max precision at recall >= t, t by t."""
    hits = positive[np.argsort(-score, kind="stable")]
    curve = [(hits[: i + 1].mean(), hits[: i + 1].sum() / positive.sum()) for i in range(len(hits))]
    best = [max((p for p, r in curve if r >= k / (points - 1) - 1e-9), default=0.0) for k in range(points)]
    return float(np.mean(best))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 10**6)), min_size=1, max_size=40, unique_by=lambda pair: pair[1])
)
def test_the_definitions(pairs: list[tuple[bool, int]]) -> None:
    positive, score = np.array([p for p, _ in pairs]), np.array([float(s) for _, s in pairs])
    if not positive.any():
        assert np.isnan(average_precision(positive, score, "area"))
        return
    assert average_precision(positive, score, "step") == pytest.approx(average_precision_score(positive, score))
    assert average_precision(positive, score, "points11") == pytest.approx(naive(positive, score, 11))
    assert average_precision(positive, score, "points101") == pytest.approx(naive(positive, score, 101))
    # With so many points that every step of recall has its own, the mean is the area.
    assert average_precision(positive, score, "area") == pytest.approx(naive(positive, score, 50_001), abs=1e-3)


def test_positives_that_were_not_found_count() -> None:
    assert average_precision(np.array([True]), np.array([0.9]), "area", positives=4) == 0.25
    assert average_precision(np.zeros(0, bool), np.zeros(0), "points11", positives=3) == 0.0


def test_difficult_images_are_left_out_of_their_class() -> None:
    present = np.array([[1, 0], [-1, 1], [0, 0]])
    scores = np.array([[0.5, 0.1], [0.9, 0.2], [0.1, 0.3]])
    mean, each = mean_average_precision(present, scores, "step")
    assert each.tolist() == [1.0, 0.5]
    assert mean == 0.75
