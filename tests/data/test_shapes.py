"""The procedural scenes: targets agree with each other and with the picture, and are the same on every machine."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from ssl_bench.data.builders import load_dataset
from ssl_bench.data.scenes import IGNORE, Instances, SceneSplit, scenes
from ssl_bench.data.shapes import CLASSES, COLOURS, FAR, KINDS, NEAR, VISIBLE, WALL, draw, outline
from ssl_bench.errors import DataError


@pytest.fixture(scope="module")
def test_split() -> SceneSplit:
    return scenes(load_dataset("shapes"), "label_map", "instances", "depth", "present", "captions")["test"]


def test_scenes_are_frozen() -> None:
    """A change of any pixel of any scene would change stored scores: raise the tasks' versions and this hash then."""
    digest = hashlib.sha256(b"".join(draw(0, i).pixels.tobytes() + draw(0, i).owner.tobytes() for i in range(20)))
    assert digest.hexdigest()[:16] == "fbef74fbc41c8065"


def test_sizes_and_classes(test_split: SceneSplit) -> None:
    dataset = load_dataset("shapes")
    assert (len(dataset.train), len(dataset.test), dataset.classes) == (1024, 256, CLASSES)
    assert set(np.unique(dataset.train.labels)) == {1, 2, 3, 4, 5}
    assert dataset.train.fingerprint != dataset.test.fingerprint
    counts = np.bincount(dataset.train.labels)[1:]
    assert counts.min() > 0.7 * counts.max()


def test_boxes_masks_and_label_map_agree(test_split: SceneSplit) -> None:
    for index in range(40):
        found, label_map = test_split.instances(index), test_split.label_map(index)
        assert isinstance(found, Instances)
        assert found.masks is not None
        assert label_map.dtype == np.uint8
        assert label_map.shape == (64, 64)
        for box, label, mask in zip(found.boxes, found.labels, found.masks, strict=True):
            rows, columns = np.nonzero(mask)
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert (label_map[mask] == label).all()
            assert mask.sum() >= VISIBLE
        covered = found.masks.any(axis=0)
        assert set(np.unique(label_map[~covered])) <= {0, IGNORE}
        assert found.masks.sum(axis=0).max() <= 1


def test_depth(test_split: SceneSplit) -> None:
    """Objects are flat and in front of the wall; the floor comes nearer downwards."""
    for index in range(40):
        depth, found = test_split.depth(index), test_split.instances(index)
        assert depth.dtype == np.float32
        assert depth.min() >= 1.0
        assert depth.max() == WALL
        assert found.masks is not None
        for mask in found.masks:
            assert len(np.unique(depth[mask])) == 1
            assert NEAR <= depth[mask][0] <= FAR
        floor = depth[:, 0][~found.masks.any(axis=0)[:, 0]]
        assert (np.diff(floor) <= 0).all()


def test_present_captions_and_main_label(test_split: SceneSplit) -> None:
    present = test_split.present()
    assert present.shape == (256, 6)
    for index in range(40):
        (caption,) = test_split.captions(index)
        named = {KINDS.index(word) + 1 for word in caption.split() if word in KINDS}
        visible = set(test_split.instances(index).labels.tolist())
        assert visible <= named
        assert set(np.flatnonzero(present[index]).tolist()) == {0, *visible}
        assert test_split.labels[index] in visible
        assert any(colour in caption for colour in COLOURS)


def test_nearer_objects_hide_farther_ones() -> None:
    hidden = 0
    for index in range(200):
        scene = draw(3, index)
        for position, thing in enumerate(scene.things):
            whole = outline(thing.kind, thing.x, thing.y, thing.radius)
            over = set(np.unique(scene.owner[whole])) - {position}
            hidden += bool(over)
            assert all(scene.things[other].distance <= thing.distance for other in over)
    assert hidden > 20


def test_subsets_and_missing_targets(test_split: SceneSplit) -> None:
    part = test_split.subset([5, 2])
    assert isinstance(part, SceneSplit)
    np.testing.assert_array_equal(part.label_map(1), test_split.label_map(2))
    np.testing.assert_array_equal(part.subset([1]).depth(0), test_split.depth(2))
    np.testing.assert_array_equal(part.present(), test_split.present()[[5, 2]])
    assert part.captions(0) == test_split.captions(5)
    with pytest.raises(DataError, match="Data set digits has no depth maps; it has one label an image"):
        scenes(load_dataset("digits", Path("/nonexistent")), "depth")


def test_a_split_says_what_it_lacks() -> None:
    class Bare(SceneSplit):
        targets = frozenset({"depth"})
        labels, classes, name = np.zeros(1, np.int64), ("a",), "bare"

        def image(self, index: int):  # type: ignore[no-untyped-def]
            raise NotImplementedError

        def identity(self, index: int) -> str:
            return "x"

    with pytest.raises(DataError, match="bare has no label maps"):
        Bare().label_map(0)
