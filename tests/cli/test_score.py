"""``ssl-bench score``: the user's own features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command import ssl_bench
from sklearn.neighbors import KNeighborsClassifier

import ssl_bench as package


@pytest.fixture
def features(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    means = random.standard_normal((3, 8))
    arrays = {}
    for split, count in (("train", 120), ("test", 60)):
        y = np.arange(count) % 3
        arrays |= {f"{split}_x": means[y] + random.standard_normal((count, 8)), f"{split}_y": y}
    np.savez(tmp_path / "features.npz", **arrays)
    return tmp_path / "features.npz"


def test_every_protocol_that_needs_features_only(features: Path) -> None:
    done = ssl_bench("score", features, "--set", "low_shot.shots=5", "--set", "knn.k=[20]", "--json")
    assert done.code == 0, done.err
    assert list(done.json) == ["knn", "linear_frozen", "low_shot", "label_free"]
    data = np.load(features)
    weigh = {"weights": lambda d: np.exp((1 - d) / 0.07), "metric": "cosine", "algorithm": "brute"}
    peer = KNeighborsClassifier(20, **weigh).fit(data["train_x"], data["train_y"])
    expected = 100 * peer.score(data["test_x"], data["test_y"])
    assert done.json["knn"]["metrics"]["top1"] == pytest.approx(expected)
    assert done.json["knn"]["interval"]["low"] < expected < done.json["knn"]["interval"]["high"]
    assert done.json["linear_frozen"]["selection"] == "held_out"


def test_linear_on_features_is_the_frozen_one(features: Path) -> None:
    outcomes = [
        ssl_bench("score", features, "--protocol", name, "--set", f"{name}.epochs=5", "--json").json[name]
        for name in ("linear", "linear_frozen")
    ]
    assert outcomes[0] == outcomes[1]


def test_python_gives_the_same_and_people_get_a_table(features: Path) -> None:
    arrays = np.load(features)
    train, test = ((arrays[f"{split}_x"], arrays[f"{split}_y"]) for split in ("train", "test"))
    outcome = package.evaluate_features("knn", train, test)
    done = ssl_bench("score", features, "--protocol", "knn")
    assert f"{outcome.metrics['top1']:.2f}" in done.out
    assert "wilson" in done.out
