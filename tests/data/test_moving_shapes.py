"""The procedural videos: masks agree with the pictures, the class is the motion, and every machine draws the same."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from ssl_bench.data.builders import load_dataset
from ssl_bench.data.moving_shapes import APART, DIRECTIONS, FRAMES, MovingShapesSplit, draw_clip, movers
from ssl_bench.data.sequences import SequenceSplit, sequences
from ssl_bench.data.shapes import SIDE
from ssl_bench.errors import DataError


def centre(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean(), rows.mean()])


@pytest.mark.parametrize("index", range(6))
def test_the_class_is_the_direction_and_the_velocity_is_constant(index: int) -> None:
    split = MovingShapesSplit("videos", 3, 0, 6)
    places = np.stack([centre(split.mask(index, time) == 1) for time in range(FRAMES)])
    steps = np.diff(places, axis=0)
    direction = np.array(list(DIRECTIONS.values())[split.labels[index]])
    speed = movers(3, index, 1)[0].speed
    np.testing.assert_allclose(steps.mean(0), direction * speed, atol=0.06)
    assert np.abs(steps - direction * speed).max() < 1  # masks move by whole pixels


def test_objects_begin_apart_and_never_leave_the_picture() -> None:
    for index in range(20):
        first, second = movers(0, index, 2)
        assert np.hypot(*np.subtract(first.start, second.start)) >= APART
        for thing in (first, second):
            for time in (0, FRAMES - 1):
                assert all(thing.radius - 1e-9 <= place <= SIDE - thing.radius + 1e-9 for place in thing.centre(time))
        assert set(np.unique(draw_clip(0, index, 2).masks[0])) == {0, 1, 2}


def test_pixels_of_the_room_stay_and_those_of_the_object_move_with_it() -> None:
    clip = draw_clip(5, 1)
    never = (clip.masks == 0).all(0)
    assert np.abs(clip.pixels[:, never].astype(float).std(0)).max() < 12  # the camera's noise, std 4
    mean = [clip.pixels[t][clip.masks[t] == 1].mean(0) for t in range(FRAMES)]
    assert np.ptp(mean, axis=0).max() < 8


def test_every_machine_draws_the_same() -> None:
    masks = draw_clip(0, 0, 2).masks
    assert hashlib.sha256(masks.tobytes()).hexdigest()[:16] == "a55cd97f4517c8a2"
    assert draw_clip(0, 0, 2).pixels.mean().round(3) == 79.703


def test_data_sets_and_their_parts() -> None:
    data = load_dataset("moving_shapes", limit=1)
    split = sequences(data)
    assert isinstance(split, SequenceSplit)
    assert len(split) == len(set(load_dataset("moving_shapes").test.labels.tolist()))
    whole = load_dataset("shapes_video")
    assert len(whole.classes) == 4
    assert (np.bincount(whole.train.labels) > 40).all()
    part = whole.test.subset([3, 1])
    assert isinstance(part, SequenceSplit)
    assert part.clip(1).shape == (FRAMES, SIDE, SIDE, 3)
    np.testing.assert_array_equal(part.clip(0), whole.test.clip(3))
    np.testing.assert_array_equal(np.asarray(part.image(0)), whole.test.clip(3)[0])
    np.testing.assert_array_equal(part.mask(0, 2), whole.test.mask(3, 2))
    assert part.lengths.tolist() == [FRAMES, FRAMES]
    assert part.identity(0) == whole.test.identity(3)


def test_other_data_sets_have_no_videos() -> None:
    with pytest.raises(DataError, match="shapes has no videos"):
        sequences(load_dataset("shapes"))
