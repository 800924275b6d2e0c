"""Detection as a protocol: small trainings on ``shapes`` and on a few images of COCO."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor
from trained_backbone import trained_backbone

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.builders import load_dataset
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.scenes import Instances, SceneSplit, scenes
from ssl_bench.data.shapes import ShapesSplit
from ssl_bench.errors import DataError
from ssl_bench.protocols.dense.samples import SceneBatches
from ssl_bench.protocols.detection import detect
from ssl_bench.protocols.detection.detect import Detect, DetectSettings, initial, losses, trained
from ssl_bench.protocols.detection.evaluate import detections, precise_statistics
from ssl_bench.protocols.detection.recipes import Recipe, recipe_of
from ssl_bench.protocols.detection.samples import sample_with, training_transform
from ssl_bench.protocols.metrics.coco_detection import CocoScore
from ssl_bench.protocols.metrics.detection import Detections
from ssl_bench.protocols.metrics.voc_detection import VocScore
from ssl_bench.reporting.detection_figures import COLOURS, SIDE
from ssl_bench.reporting.detection_figures import detections as draw_detections

SMALL: dict[str, Any] = {
    "recipe": "small",
    "sides": (64,),
    "test_side": 64,
    "max_side": 64,
    "anchors": (8, 12, 20, 28, 40),
    "batch_size": 4,
    "warmup": 2,
    "width": 16,
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def shapes(train: int, test: int = 4) -> Dataset:
    return Dataset("shapes", ShapesSplit("shapes/train", 0, 0, train), ShapesSplit("shapes/test", 0, 5000, test))


def prepared(backbone: Backbone, **changes: Any) -> tuple[DetectSettings, Recipe]:
    settings = DetectSettings(**{**SMALL, **changes})
    return settings, recipe_of(settings.recipe, backbone, settings.given())


def batch_of(split: SceneSplit, backbone: Backbone, recipe: Recipe, masks: bool, compute: Compute) -> Any:
    batches = SceneBatches(split, sample_with(masks), training_transform(recipe), 4, backbone, compute, stack=False)
    return next(batches.epoch(0))


@pytest.mark.parametrize(("kind", "detector"), [("resnet", "c4"), ("resnet", "fpn"), ("vit", "simple"), ("vit", "fpn")])
def test_the_loss_falls(kind: str, detector: str, tmp_path: Path) -> None:
    backbone, compute = trained_backbone(kind), Compute(cache=tmp_path)
    data = shapes(4)
    settings, recipe = prepared(backbone, detector=detector, masks=True, steps=12)
    batch = batch_of(data.train, backbone, recipe, True, compute)

    def loss(net: Any) -> float:
        torch.manual_seed(0)
        with torch.no_grad():
            return float(losses(net.train(), batch)["loss"])

    before = loss(initial(backbone, len(data.classes), recipe, settings, compute))
    net, _ = trained(backbone, data.train, recipe, settings, compute)
    assert loss(net) < 0.8 * before


def test_a_trained_backbone_detects_better(tmp_path: Path) -> None:
    data = shapes(128, 32)
    found = {}
    for is_trained in (True, False):
        backbone = trained_backbone("resnet", is_trained)
        before = {name: value.clone() for name, value in backbone.state_dict().items()}
        settings = DetectSettings(**{**SMALL, "steps": 60, "lr": 0.05, "anchors": (12, 20, 32), "frozen": True})
        outcome = Detect().evaluate(backbone, data, settings, Compute(cache=tmp_path))
        found[is_trained] = outcome.metrics["ap50"]
        assert outcome.primary == "ap50"
        assert outcome.interval is not None
        assert outcome.details["recipe"]["detector"] == "c4"
        assert set(outcome.details["ap50"]) == set(data.classes[1:])
        # The backbone is the run's; only a copy was trained.
        assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    assert found[True] > 5
    assert found[True] > 1.3 * found[False]
    assert not list((tmp_path / "detect").iterdir())


class Empty(ShapesSplit):
    """No image but the first has an object."""

    def instances(self, index: int, masks: bool = True) -> Instances:
        found = super().instances(index, masks)
        some = slice(None) if index == 0 else slice(0)
        return Instances(found.boxes[some], found.labels[some], None if found.masks is None else found.masks[some])


def test_images_without_objects(tmp_path: Path) -> None:
    """They are not trained on, but a batch may come to hold one (all its objects cut off), and test images may."""
    backbone, compute = trained_backbone("resnet"), Compute(cache=tmp_path)
    empty = Empty("shapes/empty", 0, 0, 4)
    assert detect.with_objects(empty, compute.progress).tolist() == [0]
    settings, recipe = prepared(backbone, masks=True, steps=1)
    net = initial(backbone, 6, recipe, settings, compute)
    batch = batch_of(empty.subset([1, 2, 3]), backbone, recipe, True, compute)
    found = losses(net.train(), batch)["loss"]
    found.backward()
    assert torch.isfinite(found)
    outcome = Detect().evaluate(backbone, Dataset("x", empty, empty), settings, compute)
    assert 0 <= outcome.metrics["ap50"] <= 100
    with pytest.raises(DataError, match="No image of shapes/empty has an object"):
        trained(backbone, empty.subset([1, 2]), recipe, settings, compute)


class Crowded(ShapesSplit):
    """Every first object is a crowd."""

    def instances(self, index: int, masks: bool = True) -> Instances:
        found = super().instances(index, masks)
        return Instances(found.boxes, found.labels, found.masks, crowd=np.arange(len(found)) == 0)


def test_crowds_are_not_trained_on_but_known_at_test() -> None:
    split = Crowded("shapes/crowds", 0, 0, 3)
    for index in range(3):
        target = sample_with(True)(split, index)["target"]
        truth = split.instances(index)
        assert len(target["boxes"]) == len(target["labels"]) == len(target["masks"]) == len(truth) - 1
        np.testing.assert_array_equal(target["labels"], truth.labels[1:] + 1)
        # What is found where the crowd is, is no error.
        score = CocoScore(6, masks=False)
        score.add(truth, exactly(truth), (64, 64))
        assert len(truth) == 1 or score.scores()["ap"] == pytest.approx(100)


def exactly(truth: Instances) -> Detections:
    scores = np.linspace(0.9, 0.5, len(truth))
    return Detections(truth.boxes.astype(np.float64), truth.labels, scores, truth.masks)


def test_the_truth_scores_a_hundred() -> None:
    split = ShapesSplit("shapes", 3, 0, 16)
    coco, voc = CocoScore(6, masks=True), VocScore(6, "voc2007")
    for index in range(16):
        truth = split.instances(index)
        coco.add(truth, exactly(truth), (64, 64))
        voc.add(truth, exactly(truth))
    for scores in (coco.scores(), voc.scores()):
        known = [value for value in scores.values() if value == value]  # there are no large objects
        assert len(known) >= 3
        assert known == pytest.approx([100] * len(known))


def test_an_interrupted_training_ends_with_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """8 images in steps of 4: the state is saved after every second step."""
    backbone, data = trained_backbone("resnet"), shapes(8)
    settings, recipe = prepared(backbone, masks=True, steps=5, keep=True)
    whole, _ = trained(backbone, data.train, recipe, settings, Compute(cache=tmp_path / "whole"))
    calls = []

    def stopped(net: Any, batch: Any) -> Any:
        calls.append(batch)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return losses(net, batch)

    compute = Compute(cache=tmp_path / "parts")
    with monkeypatch.context() as patch:
        patch.setattr(detect, "losses", stopped)
        with pytest.raises(KeyboardInterrupt):
            trained(backbone, data.train, recipe, settings, compute)
    resumed, _ = trained(backbone, data.train, recipe, settings, compute)
    assert compute.progress.notes == ["Going on after step 2."]  # type: ignore[attr-defined]
    states = whole.state_dict(), resumed.state_dict()
    assert all(torch.equal(states[1][name], value) for name, value in states[0].items())


def test_statistics_are_counted_anew(tmp_path: Path) -> None:
    """The first BatchNorm sees nothing but images: the running mean is the plain mean of the batches' means."""
    backbone, compute = trained_backbone("resnet"), Compute(cache=tmp_path)
    settings, recipe = prepared(backbone)
    net = initial(backbone, 6, recipe, settings, compute)
    split = ShapesSplit("shapes", 0, 0, 8)
    batches = SceneBatches(split, sample_with(False), training_transform(recipe), 4, backbone, compute, stack=False)
    precise_statistics(net, batches, 2, compute)
    conv, norm = net.backbone.body[0], net.backbone.body[1]
    with torch.no_grad():
        means = [conv(torch.stack(images)).mean((0, 2, 3)) for images, _ in batches.epoch(0)]
    torch.testing.assert_close(norm.running_mean, torch.stack(means).mean(0), atol=1e-5, rtol=1e-4)
    assert norm.momentum == 0.1
    assert not net.training


def test_masks_need_outlines(tmp_path: Path) -> None:
    class NoOutlines(ShapesSplit):
        def instances(self, index: int, masks: bool = True) -> Instances:
            found = super().instances(index, masks)
            return Instances(found.boxes, found.labels)

    backbone = trained_backbone("resnet")
    split = NoOutlines("shapes/plain", 0, 0, 4)
    settings = DetectSettings(**{**SMALL, "masks": True, "steps": 1})
    with pytest.raises(DataError, match="has no outlines of objects"):
        Detect().evaluate(backbone, Dataset("x", split, split), settings, Compute(cache=tmp_path))


def test_half_precision(tmp_path: Path) -> None:
    backbone, data = trained_backbone("vit"), shapes(4, 2)
    settings = DetectSettings(**{**SMALL, "masks": True, "steps": 2, "rule": "coco"})
    outcome = Detect().evaluate(backbone, data, settings, Compute(cache=tmp_path, precision="bf16"))
    assert set(outcome.metrics) >= {"ap", "ap50", "mask_ap"}


def test_objects_and_detections_are_drawn(tmp_path: Path) -> None:
    backbone, data, out = trained_backbone("resnet"), shapes(4, 3), tmp_path / "detections.png"
    settings = DetectSettings(**{**SMALL, "masks": True, "steps": 1, "keep": True})
    compute = Compute(cache=tmp_path)
    draw_detections(backbone, data, settings, compute, out, count=2)
    with Image.open(out) as picture:
        pixels = np.asarray(picture)
    assert pixels.shape[0] > 2 * SIDE
    assert pixels.shape[1] > 2 * SIDE
    # The colour of a class's box is in the picture of the truth.
    colour = ImageColor.getrgb(COLOURS[int(data.test.instances(0).labels[0])])  # type: ignore[attr-defined]
    assert (pixels[: SIDE + 6, : SIDE + 6] == colour).all(-1).sum() > 20
    assert list((tmp_path / "detect").iterdir())


def test_a_few_images_of_coco(shared_data: Path, tmp_path: Path) -> None:
    """Boxes come back in the pixels of the image, masks in its size."""
    data = load_dataset("coco_mini", shared_data)
    small = Dataset("coco_mini", data.train.subset(range(4)), data.test.subset(range(3)))
    backbone, compute = trained_backbone("resnet"), Compute(cache=tmp_path)
    changes = {"sides": (96,), "test_side": 96, "max_side": 160, "masks": True, "rule": "coco", "steps": 2}
    settings, recipe = prepared(backbone, **changes)
    net, _ = trained(backbone, scenes(small)["train"], recipe, settings, compute)
    net.roi_heads.score_thresh = 0.0
    image = sample_with(True)(scenes(small)["test"], 0)["image"]
    found = detections(net, backbone, image, recipe, compute)
    height, width = image.shape[-2:]
    assert found.masks is not None
    assert found.masks.shape[1:] == (height, width)
    assert 0 < len(found) <= 100
    assert found.boxes[:, 2].max() > 96
    assert (found.boxes[:, 2:] <= [width + 1e-3, height + 1e-3]).all()
    outcome = Detect().evaluate(backbone, small, settings, compute)
    assert outcome.primary == "ap"
    assert {
        f"{mask}ap{part}" for mask in ("", "mask_") for part in ("", "50", "75", "_small", "_medium", "_large")
    } == set(outcome.metrics)
