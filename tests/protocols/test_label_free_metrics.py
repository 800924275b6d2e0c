"""Label-free metrics: golden values, and brute force over all pairs."""

import numpy as np
import pytest
import torch
from conformance.golden_features import golden_features

from ssl_bench.protocols import label_free_metrics as metrics
from ssl_bench.protocols.neighbours import unit_rows

X, Y = golden_features().train_x, golden_features().train_y
UNIT = unit_rows(X)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (metrics.uniformity(UNIT), -3.444194),
        (metrics.alignment(UNIT[:250], UNIT[250:]), 1.533899),
        (metrics.rankme(X), 15.793923),
        (metrics.rankme(X - X.mean(axis=0)), 15.796646),
        (metrics.lidar(X, np.arange(500) // 10), 13.123291),
        (metrics.tolerance(UNIT, Y), 0.022920),
        (metrics.channel_std(UNIT), 0.248644),
        (1 - metrics.alignment_within(UNIT, Y) / 2, 0.213468),  # |x - y|^2 = 2 - 2 x.y: mean same-label dot product
    ],
)
def test_golden_values(found: float, expected: float) -> None:
    """Reference, section 16.6: train part of G(0, 10, 16, 500, 230, 2)."""
    assert found == pytest.approx(expected, abs=2e-6)


def test_pairs_against_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "ROWS", 7)
    x, group = UNIT[:40].astype(float), np.random.default_rng(0).integers(0, 9, 40)
    squared = [((x[i] - x[j]) ** 2).sum() for i in range(40) for j in range(i)]
    same = [((x[i] - x[j]) ** 2).sum() for i in range(40) for j in range(i) if group[i] == group[j]]
    assert metrics.uniformity(UNIT[:40], t=3) == pytest.approx(
        np.log(np.mean(np.exp(-3 * np.array(squared)))), abs=1e-6
    )
    assert metrics.alignment_within(UNIT[:40], group) == pytest.approx(np.mean(same), abs=1e-6)
    assert metrics.alignment(UNIT[:20], UNIT[20:40], a=1) == pytest.approx(
        np.mean([np.linalg.norm(x[i] - x[i + 20]) for i in range(20)])
    )


def test_spectra_in_blocks_against_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "ROWS", 10)
    np.testing.assert_allclose(metrics.singular_values(X), np.linalg.svd(X.astype(float), compute_uv=False), rtol=1e-9)
    eigenvalues = np.linalg.eigvalsh(np.cov(X.astype(float).T))
    assert metrics.participation_ratio(X) == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum(), rel=1e-6)
    assert len(metrics.singular_values(X[:5])) == 5


def test_lidar_with_unequal_groups_by_hand() -> None:
    group = np.concatenate([np.zeros(30), np.ones(7), np.full(13, 2.0), np.full(40, 3.0)])
    x = X[:90].astype(float)
    means = np.stack([x[group == g].mean(0) for g in range(4)])
    within = sum(np.cov(x[group == g].T) * ((group == g).sum() - 1) for g in range(4)) / 86 + 1e-4 * np.eye(16)
    values, vectors = np.linalg.eigh(within)
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    p = np.linalg.eigvalsh(root @ np.cov(means.T) @ root).clip(0)
    p = p / p.sum() + 1e-7
    assert metrics.lidar(X[:90], group) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-6)
    assert metrics.lidar(X[:90], group) <= 3.01


def test_collapse_shows() -> None:
    same = np.tile(UNIT[:1], (50, 1))
    assert metrics.rankme(same) == pytest.approx(1, abs=1e-3)
    assert metrics.uniformity(same) == pytest.approx(0, abs=1e-5)
    assert metrics.channel_std(same) == pytest.approx(0, abs=1e-7)
    assert metrics.participation_ratio(np.zeros((5, 3), np.float32)) == 0
    assert metrics.rankme(np.zeros((5, 3), np.float32)) == 0


def test_undefined_metrics_are_nan() -> None:
    assert np.isnan(metrics.lidar(X[:5], np.zeros(5)))
    assert np.isnan(metrics.lidar(X[:5], np.arange(5)))
    assert np.isnan(metrics.alignment_within(UNIT[:5], np.arange(5)))


@pytest.mark.gpu
def test_uniformity_on_the_gpu() -> None:
    assert metrics.uniformity(UNIT, device=torch.device("cuda")) == pytest.approx(-3.444194, abs=1e-5)
