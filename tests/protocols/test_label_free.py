"""The label-free protocol: on arrays against the golden values, and on images over real augmented views."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from conformance.golden_features import golden_features
from PIL import Image

from ssl_bench.backbones.backbone import Backbone, WeightsReport
from ssl_bench.cards import PreprocessCard
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset, Split
from ssl_bench.data.features import Features
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import FeatureError
from ssl_bench.protocols import label_free_metrics as metrics
from ssl_bench.protocols.label_free import LabelFree, LabelFreeSettings, embed_views
from ssl_bench.protocols.neighbours import unit_rows


class Pictures(Split):
    """Random pictures of 12 x 16 pixels."""

    def __init__(self, count: int) -> None:
        self.labels, self.classes = np.arange(count) % 2, ("a", "b")

    def image(self, index: int) -> Image.Image:
        pixels = np.random.default_rng(index).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        return Image.fromarray(pixels)

    def identity(self, index: int) -> str:
        return f"picture {index}"


class Pixels(Backbone):
    """The pixels themselves."""

    name, embed_dim = "pixels", 3 * 6 * 6

    def __init__(self) -> None:
        super().__init__()
        self.preprocess = Preprocess(PreprocessCard(resize=8, crop=6))
        self.weights = WeightsReport("none", "0" * 64, 0, 0)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)


def on_arrays(x: np.ndarray, y: np.ndarray, **given: object) -> dict[str, float]:
    part = Features.of(x, y)
    return LabelFree().evaluate_features(part, part, LabelFreeSettings(**given), Compute()).metrics  # type: ignore[arg-type]


def test_arrays_give_the_golden_values_and_say_where_labels_are_used() -> None:
    golden = golden_features()
    found = on_arrays(golden.train_x, golden.train_y)
    assert set(found) == {
        "rankme",
        "participation_ratio",
        "uniformity",
        "channel_std",
        "alignment_same_class",
        "lidar_classes",
        "tolerance",
    }
    expected = {"rankme": 15.793923, "uniformity": -3.444194, "channel_std": 0.248644, "tolerance": 0.022920}
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=2e-6)
    assert found["alignment_same_class"] == pytest.approx(2 - 2 * 0.213468, abs=4e-6)
    assert found["lidar_classes"] == pytest.approx(metrics.lidar(golden.train_x, golden.train_y))


def test_a_draw_of_images_depends_on_the_seed_only() -> None:
    golden = golden_features()
    assert on_arrays(golden.train_x, golden.train_y, images=50) == on_arrays(golden.train_x, golden.train_y, images=50)
    assert (
        on_arrays(golden.train_x, golden.train_y, images=50)["rankme"]
        != on_arrays(golden.train_x, golden.train_y)["rankme"]
    )


def test_undefined_metrics_are_left_out_and_one_image_is_refused() -> None:
    golden = golden_features()
    assert "lidar_classes" not in on_arrays(golden.train_x[:5], np.zeros(5, dtype=int))
    with pytest.raises(FeatureError, match="1 training image"):
        on_arrays(golden.train_x[:1], np.zeros(1, dtype=int))


def test_views_are_random_but_fixed_and_do_not_depend_on_batches() -> None:
    split, settings, chosen = Pictures(7), LabelFreeSettings(lidar_views=5), np.array([1, 4, 6])
    state = torch.random.get_rng_state()
    views, image = embed_views(Pixels(), split, chosen, settings, Compute())
    assert torch.equal(state, torch.random.get_rng_state())
    assert image.tolist() == [1] * 5 + [4] * 5 + [6] * 5
    assert views.shape == (15, 108)
    assert len(np.unique(views, axis=0)) == 15
    other_batches, _ = embed_views(Pixels(), split, chosen[::-1], settings, Compute(batch_size=3))
    np.testing.assert_array_equal(other_batches[:5], views[10:])
    other_seed, _ = embed_views(Pixels(), split, chosen, settings, Compute(seed=1))
    assert not np.allclose(other_seed, views)


def test_whole_pictures_as_crops_are_the_resized_picture_or_its_mirror() -> None:
    settings = LabelFreeSettings(lidar_views=8, crop_scale=(1.0, 1.0))
    split = Pictures(1)
    square = split.image(0).resize((12, 12))
    split.image = lambda index: square  # type: ignore[method-assign]
    views, _ = embed_views(Pixels(), split, np.array([0]), settings, Compute())
    resized = Preprocess(PreprocessCard(resize=6, crop=6))
    plain, mirror = resized(square), resized(square).flip(-1)
    # an aspect other than 1 does not fit the whole picture: torchvision then takes the centre, which is all of it
    seen = [view.reshape(3, 6, 6) for view in views]
    assert all(np.allclose(v, plain, atol=1e-5) or np.allclose(v, mirror, atol=0.05) for v in seen)
    assert 0 < sum(np.allclose(v, plain, atol=1e-5) for v in seen) < 8


def test_evaluate_compares_views_of_images_without_labels(tmp_path: Path) -> None:
    settings, compute = LabelFreeSettings(lidar_images=20, lidar_views=4), Compute(cache=tmp_path)
    dataset = Dataset("pictures", Pictures(20), Pictures(4))
    outcome = LabelFree().evaluate(Pixels(), dataset, settings, compute)
    assert set(outcome.metrics) == {"rankme", "participation_ratio", "uniformity", "channel_std", "alignment", "lidar"}
    assert outcome.primary == "rankme"
    assert outcome.details == {"images": 20, "view_images": 20}
    assert 1 < outcome.metrics["lidar"] <= 19.01
    raw = np.stack([Pixels().preprocess(dataset.train.image(i)).numpy().ravel() for i in range(20)])
    assert outcome.metrics["rankme"] == pytest.approx(metrics.rankme(raw), rel=1e-6)
    views, image = embed_views(Pixels(), dataset.train, np.arange(20), settings, compute)
    assert outcome.metrics["lidar"] == metrics.lidar(views, image)
    pairs = [
        ((a - b) ** 2).sum() for i in set(image) for a, b in itertools.combinations(unit_rows(views[image == i]), 2)
    ]
    assert outcome.metrics["alignment"] == pytest.approx(np.mean(pairs), rel=1e-5)
