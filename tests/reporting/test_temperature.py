"""The temperature of the contrastive loss: formulas against autograd and the paper's limits; a chart of each kind of file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from ssl_bench.errors import FeatureError
from ssl_bench.reporting.temperature import chart, focus, pull, relative_penalty, similarities, temperature


@pytest.mark.parametrize("t", [0.07, 0.3, 1.0])
def test_penalty_and_pull_are_the_gradients_of_the_loss(t: float) -> None:
    rng = np.random.default_rng(0)
    negatives, positives = rng.uniform(-1, 1, (5, 30)), rng.uniform(-1, 1, 5)
    s = torch.tensor(np.column_stack([positives, negatives]), requires_grad=True)
    F.cross_entropy(s / t, torch.zeros(5, dtype=torch.long), reduction="sum").backward()
    of_positive, of_negatives = s.grad[:, 0].numpy(), s.grad[:, 1:].numpy()
    np.testing.assert_allclose(pull(positives, negatives, t).diagonal(), -of_positive, rtol=1e-9)
    share = of_negatives / of_negatives.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(relative_penalty(negatives, t), share, rtol=1e-9)
    np.testing.assert_allclose(of_negatives.sum(axis=1), -of_positive)  # as the paper says


def test_a_low_temperature_looks_at_the_nearest_a_high_one_at_all() -> None:
    negatives = similarities()
    assert np.median(relative_penalty(negatives, 1e-3).max(axis=1)) > 0.99
    np.testing.assert_allclose(relative_penalty(negatives, 1e4), 1 / negatives.shape[1], rtol=1e-3)
    found = [focus(negatives, t) for t in (0.02, 0.07, 0.3, 1.0, 100.0)]
    assert [hard for hard, _ in found] == sorted([hard for hard, _ in found], reverse=True)
    assert [spread for _, spread in found] == sorted(spread for _, spread in found)  # the entropy rises with t
    assert found[-1] == pytest.approx((0.01, 1.0), abs=1e-3)


def test_similarities_are_cosines_of_other_rows() -> None:
    features = np.random.default_rng(1).standard_normal((40, 7)) * 100
    found = similarities(features)
    assert found.shape == (20, 20)
    assert np.abs(found).max() < 1
    assert similarities().shape == (256, 4096)
    assert similarities().std() == pytest.approx(128**-0.5, rel=0.02)
    with pytest.raises(FeatureError, match="fewer than three"):
        similarities(features[:2])


def test_the_chart_shows_where_the_negatives_are(tmp_path: Path) -> None:
    drawn = chart(similarities(), "made up").to_dict()
    names = [layer["data"]["name"] for layer in drawn["hconcat"][0]["layer"]]
    area, lines = (drawn["datasets"][name] for name in names)
    assert sum(row["share"] for row in area) == pytest.approx(1)
    mean = {}
    for t in ("0.07", "1"):
        shares = {row["similarity"]: row["share"] for row in lines if row["temperature"] == t}
        assert sum(shares.values()) == pytest.approx(1)
        mean[t] = sum(at * share for at, share in shares.items())
    assert mean["0.07"] > mean["1"] + 0.05
    with Image.open(temperature(tmp_path / "t.png")) as picture:
        assert picture.width > 1500
    temperature(tmp_path / "t.svg", np.random.default_rng(0).standard_normal((50, 4)), "four dimensions")
    assert "four dimensions" in (tmp_path / "t.svg").read_text()
