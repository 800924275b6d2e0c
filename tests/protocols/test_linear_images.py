"""Augmented images into features: crops, order, batches."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from protocols.probe_data import SIDE, Colours, compute, split
from torchvision.transforms import InterpolationMode, v2

from ssl_bench.data.splits import FileSplit
from ssl_bench.errors import ImageError, SettingsError
from ssl_bench.protocols.linear_images import Augmented, FeatureBatches, OneDrawCrop
from ssl_bench.protocols.linear_recipes import RECIPES


def gradient(width, height):
    """Red tells the column, green the row."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(width), np.arange(height)[:, None]
    return Image.fromarray(pixels)


def boxes(image, crop, draws):
    """Width and height of the boxes that a crop takes, read off the gradient's range."""
    found = []
    for seed in range(draws):
        torch.manual_seed(seed)
        pixels = np.asarray(crop(image)).astype(float)
        found.append((np.ptp(pixels[..., 0]) + 1, np.ptp(pixels[..., 1]) + 1))
    return np.array(found)


def test_one_draw_crop_has_the_area_and_aspect_that_it_draws():
    crop = OneDrawCrop(100, InterpolationMode.NEAREST)
    found = boxes(gradient(200, 200), crop, 300)
    area = found.prod(1) / 200**2
    aspect = found[:, 0] / found[:, 1]
    assert 0.06 < area.min() < 0.13
    assert area.max() > 0.9
    assert area.mean() == pytest.approx((0.08 + 1) / 2, abs=0.06)
    assert 0.70 < aspect.min() < 0.85
    assert 1.2 < aspect.max() < 1.4
    assert np.log(aspect).mean() == pytest.approx(0, abs=0.05)


def test_one_draw_crop_cuts_the_sides_where_torchvision_draws_again():
    """On a very wide image most boxes are too high: MAE takes the full height, torchvision falls back or draws again."""
    image = gradient(240, 40)
    mae = boxes(image, OneDrawCrop(40, InterpolationMode.NEAREST), 200)
    other = boxes(image, v2.RandomResizedCrop(40, interpolation=InterpolationMode.NEAREST), 200)
    assert (mae[:, 1] >= 39).mean() > 0.5
    assert (mae[:, 1] >= 39).mean() > (other[:, 1] >= 39).mean() + 0.1
    assert mae[:, 0].max() <= math.sqrt(240 * 40 * 4 / 3) + 1


@pytest.mark.parametrize("name", ["dino", "mae"])
def test_what_is_drawn_depends_on_seed_epoch_and_image_only(name):
    part = split(6, 0)

    def image(index, seed=0, epoch=0):
        return np.asarray(Augmented(part, RECIPES[name], SIDE, seed, epoch).image(index))

    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = image(2)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    np.testing.assert_array_equal(image(2), first)
    assert first.shape == (SIDE, SIDE, 3)
    assert not np.array_equal(image(2, epoch=1), first)
    assert not np.array_equal(image(2, seed=1), first)


def test_dinos_crop_is_torchvisions():
    part = split(3, 0)
    ours = Augmented(part, RECIPES["dino"], SIDE, 4, 7).image(1)
    state = int(np.random.SeedSequence([4, 7, 1]).generate_state(1, np.uint64)[0]) >> 1
    torch.manual_seed(state)
    expected = v2.RandomHorizontalFlip()(v2.RandomResizedCrop(SIDE)(part.image(1)))
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(expected))


@pytest.mark.parametrize(("name", "sizes"), [("dino", [16, 16, 8]), ("mae", [16, 16])])
@pytest.mark.parametrize("forward", [3, 16, 64])
def test_batches_cover_the_split_whatever_the_size_of_a_forward(tmp_path, name, sizes, forward):
    part = split(40, 0)
    recipe = RECIPES[name].changed(batch_size=16)
    batches = FeatureBatches(Colours(), part, recipe, "default", compute(tmp_path, batch_size=forward))
    found = list(batches.epoch(0))
    assert len(batches) == len(sizes)
    assert [len(y) for _, y in found] == sizes
    labels = torch.cat([y for _, y in found])
    if name == "dino":
        assert labels.bincount().tolist() == [14, 13, 13]
    reference = FeatureBatches(Colours(), part, recipe, "default", compute(tmp_path, batch_size=5))
    for (x, y), (other_x, other_y) in zip(found, reference.epoch(0), strict=True):
        torch.testing.assert_close(x, other_x)
        assert torch.equal(y, other_y)
        assert not x.requires_grad
    again = torch.cat([y for _, y in batches.epoch(1)])
    assert not torch.equal(again, labels)


def test_workers_do_not_change_the_batches(tmp_path):
    recipe = RECIPES["dino"].changed(batch_size=8)
    alone, helped = (
        list(FeatureBatches(Colours(), split(20, 0), recipe, "default", compute(tmp_path, workers=n)).epoch(0))
        for n in (0, 2)
    )
    for (x, y), (other_x, other_y) in zip(alone, helped, strict=True):
        assert torch.equal(x, other_x)
        assert torch.equal(y, other_y)


def test_a_batch_is_never_larger_than_the_split(tmp_path):
    batches = FeatureBatches(Colours(), split(20, 0), RECIPES["mae"], "default", compute(tmp_path))
    assert batches.batch_size == 20
    assert len(batches) == 1


def broken_folder(tmp_path):
    for index in range(5):
        Image.new("RGB", (SIDE, SIDE), (40 * index, 0, 0)).save(tmp_path / f"{index}.png")
    (tmp_path / "3.png").write_bytes(b"no image")
    return FileSplit(tmp_path, [f"{i}.png" for i in range(5)], [0, 0, 1, 1, 1], ("a", "b"))


def test_a_broken_image_stops_or_is_skipped_and_named(tmp_path):
    part = broken_folder(tmp_path)
    with pytest.raises(ImageError, match=r"3\.png"):
        list(FeatureBatches(Colours(), part, RECIPES["dino"], "default", compute(tmp_path)).epoch(0))
    skipping = FeatureBatches(Colours(), part, RECIPES["dino"], "default", compute(tmp_path, skip_broken=True))
    ((x, y),) = skipping.epoch(0)
    assert len(x) == len(y) == 4
    assert skipping.skipped == {str(tmp_path / "3.png")}


def test_a_preprocess_that_cannot_be_augmented_is_refused(tmp_path):
    backbone = Colours()
    backbone.preprocess = lambda image: torch.zeros(3, 4, 4)
    with pytest.raises(SettingsError, match="preprocess of its own"):
        FeatureBatches(backbone, split(4, 0), RECIPES["dino"], "default", compute(tmp_path))
