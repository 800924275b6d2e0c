"""Features that cannot be scored are refused, and the message says why."""

import numpy as np
import pytest

from ssl_bench.data.features import Features
from ssl_bench.errors import FeatureError
from ssl_bench.protocols.validation import validate


def features(n: int = 6, d: int = 4, classes: int = 3) -> Features:
    return Features.of(np.random.default_rng(0).normal(size=(n, d)), np.arange(n) % classes, classes)


def test_good_features_pass() -> None:
    validate(features(), features(n=2))


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (features(), features(d=5), "train features have 4 dimensions and the test features 5"),
        (Features.of(np.zeros(6, int), np.zeros(6, int)), features(), r"shape \(6,\)"),
        (Features.of(np.zeros((6, 0)), np.zeros(6, int)), features(), r"shape \(6, 0\)"),
        (Features.of(np.ones((6, 4)), np.zeros(5, int)), features(), "6 train features, but the labels"),
        (features(), Features.of(np.zeros((0, 4)), np.zeros(0, int), 3), "no test features"),
        (
            features(),
            Features.of(np.ones((2, 4)), np.array([0, 3])),
            "1 test labels lie outside 0 to 2; the first is 3",
        ),
        (Features.of(np.ones((2, 4)), np.array([-1, 0])), features(), "outside 0 to 0; the first is -1 in row 0"),
        (features(), Features.of(np.array([[0, 0, 0, 1], [0, np.nan, 0, 0]]), np.zeros(2, int)), "row 1 has NaN"),
        (Features.of(np.full((3, 4), np.inf), np.zeros(3, int)), features(), "train features are not finite: row 0"),
    ],
)
def test_bad_features_are_named(train: Features, test: Features, message: str) -> None:
    with pytest.raises(FeatureError, match=message):
        validate(train, test)


def test_labels_must_be_integers() -> None:
    bad = Features(np.ones((2, 4), np.float32), np.array([0.5, 1.0]), np.arange(2), 2)
    with pytest.raises(FeatureError, match="labels are float64"):
        validate(bad, bad)


def test_a_late_row_is_named_too() -> None:
    x = np.ones((10_000, 2), np.float32)
    x[9_000, 1] = np.nan
    with pytest.raises(FeatureError, match="row 9000"):
        validate(Features.of(x, np.zeros(10_000, int)), features(d=2))
