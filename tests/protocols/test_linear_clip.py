"""CLIP's linear probe: scikit-learn as the oracle, the search against the whole grid, and which vector is taken."""

import numpy as np
import pytest
from conformance.golden_features import golden_features
from protocols.probe_data import Colours, compute, dataset
from sklearn.linear_model import LogisticRegression

from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.features import Features
from ssl_bench.protocols.linear_clip import GRID, LinearClip, LinearClipSettings, score, search
from ssl_bench.registry import registry


def features(n=500):
    golden = golden_features(0, 10, 16, n, 230, 2)
    return Features.of(golden.train_x, golden.train_y, 10), Features.of(golden.test_x, golden.test_y, 10)


def test_the_grid_is_the_papers():
    assert len(GRID) - 1 == 96
    assert (GRID[0], GRID[-1]) == (1e-6, pytest.approx(1e6))
    first = [GRID[at] for at in range(0, 97, 16)]
    np.testing.assert_allclose(first, [1e-6, 1e-4, 1e-2, 1, 1e2, 1e4, 1e6])
    np.testing.assert_allclose(np.diff(np.log10(GRID)), 1 / 8)


def test_one_strength_is_scikit_learns_regression():
    """README's C = 0.316."""
    train, test = features()
    settings = LinearClipSettings(strengths=(1 / 0.316,), tolerance=1e-6)
    outcome = LinearClip().evaluate_features(train, test, settings, Compute())
    theirs = LogisticRegression(C=0.316, max_iter=1000, tol=1e-6).fit(train.x, train.y)
    assert outcome.metrics["top1"] == pytest.approx(100 * theirs.score(test.x, test.y), abs=100 / 230 + 1e-6)
    assert (outcome.predictions.prediction == theirs.predict(test.x)).mean() > 0.99
    assert outcome.selection == "fixed"
    assert outcome.details["trained_on"] == 500


@pytest.mark.parametrize("peak", [0, 3, 40, 47, 48, 71, 96])
def test_halving_finds_the_peak_that_the_whole_grid_has(peak):
    tried = []

    def value_of(strengths):
        tried.extend(strengths)
        return [-abs(np.log10(strength) - np.log10(GRID[peak])) for strength in strengths]

    best, values = search(LinearClipSettings(), value_of, Compute())
    assert best == GRID[peak]
    assert len(tried) == len(set(tried)) == len(values) <= 15
    assert max(values, key=values.get) == best


def test_of_equal_values_the_strongest_is_taken():
    best, values = search(LinearClipSettings(), lambda strengths: [50.0] * len(strengths), Compute())
    assert best == GRID[-1]
    assert len(values) < 15


def test_the_search_and_the_whole_grid_agree_on_features():
    train, test = features()
    few = {"tolerance": 1e-3, "strengths": GRID[32:81]}
    halving = LinearClip().evaluate_features(train, test, LinearClipSettings(**few), Compute())
    everything = LinearClip().evaluate_features(train, test, LinearClipSettings(**few, search="all"), Compute())
    assert halving.selection == "held_out"
    assert len(halving.details["held_out_score"]) <= 12 < len(everything.details["held_out_score"]) == 49
    found = everything.details["held_out_score"]
    assert found[f"{halving.details['strength']:.4g}"] >= max(found.values()) - 4  # of 50 images, two
    assert halving.details["trained_on"] == 500


def test_validation_images_of_the_data_set_are_taken(tmp_path):
    data = dataset(metric="mean_per_class")
    data = Dataset("mine", data.train, data.test, data.test.subset(np.arange(20)), "mean_per_class")
    settings = LinearClipSettings(strengths=(0.01, 1.0, 100.0))
    outcome = LinearClip().evaluate(Colours(), data, settings, compute(tmp_path))
    assert outcome.primary == "mean_per_class"
    assert outcome.details["validation"] == "the data set's own"
    assert outcome.details["trained_on"] == 80
    assert outcome.metrics["top1"] > 80


def test_metrics_of_the_suite():
    train, test = features()
    settings = LinearClipSettings(strengths=(1.0,))
    assert score(train, None, test, "top1_top5", settings, Compute()).metrics["top5"] > 60
    two = [Features.of(part.x[part.y < 2], part.y[part.y < 2], 2) for part in (train, test)]
    outcome = score(two[0], None, two[1], "roc_auc", settings, Compute())
    assert outcome.primary == "roc_auc"
    assert 50 < outcome.metrics["roc_auc"] <= 100


def test_the_card_says_which_vector(tmp_path):
    """ViTs of CLIP: before the projection. The paper does not say so of its ResNets."""
    known = registry()
    assert known.model("clip_vitb16").embeddings["linear"] == "pre_projection"
    assert "linear" not in known.model("clip_resnet50").embeddings

    class Two(Colours):
        own_embeddings = {"bright": 1}  # noqa: RUF012
        embeddings = {"linear": "bright"}  # noqa: RUF012

        def own_embedding(self, images, name):
            return images.mean((1, 2, 3))[:, None]

    settings = LinearClipSettings(strengths=(1.0,))
    outcome = LinearClip().evaluate(Two(), dataset(), settings, compute(tmp_path))
    assert outcome.details["embedding"] == "bright"
    assert outcome.metrics["top1"] < 60
    other = settings.model_copy(update={"embedding": "default"})
    assert LinearClip().evaluate(Two(), dataset(), other, compute(tmp_path)).metrics["top1"] > 80
