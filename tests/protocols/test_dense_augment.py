"""Transforms move image and target together; what is added does not count."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dense_toys import Answer, Painted, compute, network
from torchvision import tv_tensors

from ssl_bench.compute import Compute
from ssl_bench.errors import SettingsError
from ssl_bench.protocols.dense.augment import ScaleAndCrop, ScoredCrop, change_colours, fills, pad_to, size_for
from ssl_bench.protocols.dense.predict import slide, starts
from ssl_bench.protocols.dense.samples import SceneBatches, depth_sample, label_map_sample

FILL = fills(Answer())
COLOURS = torch.tensor([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]])


def classes_of(image: torch.Tensor) -> torch.Tensor:
    """The nearest of the four colours of every pixel."""
    return (image.permute(1, 2, 0)[:, :, None].float() - COLOURS).abs().sum(-1).argmin(-1)


@pytest.mark.parametrize("place", ["random", "centre"])
@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.5, 2.0)])
def test_image_and_target_stay_together(place: str, scale: tuple[float, float]) -> None:
    transform = ScaleAndCrop(FILL, (20, 28), scale, place=place)
    torch.manual_seed(0)
    for index in range(8):
        sample = transform(label_map_sample(Painted(8), index))
        assert tuple(sample["image"].shape[1:]) == tuple(sample["target"].shape) == (20, 28)
        known = sample["target"] != 255
        agree = (classes_of(sample["image"]) == sample["target"])[known].float().mean()
        assert agree > (0.999 if scale == (1.0, 1.0) else 0.7)  # resizing blurs the borders of blocks


def test_what_is_added_does_not_count() -> None:
    transform = ScaleAndCrop(FILL, (40, 40), flip=False)
    sample = transform(label_map_sample(Painted(1), 0))
    assert (sample["target"][24:] == 255).all()
    assert (sample["target"][:, 32:] == 255).all()
    assert (sample["target"][:24, :32] != 255).all()
    assert sample["image"][:, 30, 35].tolist() == [128, 128, 128]  # the mean colour: 0 when normalised
    deep = transform(depth_sample(Painted(1), 0))
    assert (deep["target"][24:] == 0).all()
    assert deep["target"].dtype == torch.float32


def test_a_crop_with_too_much_of_one_class_is_drawn_again() -> None:
    image = tv_tensors.Image(torch.zeros(3, 16, 64, dtype=torch.uint8))
    target = tv_tensors.Mask(torch.zeros(16, 64, dtype=torch.int64))
    target[:, :8] = 1
    sample = {"image": image, "target": target}

    def share(most: float) -> float:
        torch.manual_seed(1)
        crop = ScaleAndCrop(FILL, (16, 16), most=most)
        found = [crop(sample)["target"].double().mean() for _ in range(60)]
        return float(np.mean([m > 0.25 for m in found]))

    assert share(1.0) < 0.25
    assert share(0.75) > 2 * share(1.0)


def test_sizes() -> None:
    assert size_for(375, 500, 512) == (512, 683)
    assert size_for(375, 500, 512, longest=True) == (384, 512)
    assert size_for(375, 500, None, 2.0) == (750, 1000)


def test_the_central_crop_of_byol_holds_a_whole_voc_image() -> None:
    sample = label_map_sample(Painted(1), 0)
    crop = ScoredCrop(FILL, "centre", (51, 51))(sample)
    assert torch.equal(crop["target"][:24, :32], sample["target"])
    assert (crop["target"] == 255).sum() == 51 * 51 - 24 * 32
    middle = ScoredCrop(FILL, "centre", (8, 8))(sample)
    assert torch.equal(middle["target"], sample["target"][8:16, 12:20])


def test_multimaes_test_image() -> None:
    sample = ScoredCrop(FILL, "pad", (64, 64), 64)(label_map_sample(Painted(1), 0))
    assert sample["image"].shape == (3, 64, 64)
    assert (sample["target"][48:] == 255).all()
    assert (sample["target"][:48] != 255).all()
    assert pad_to(sample["image"], sample["target"], (64, 64), FILL)[0] is sample["image"]


@pytest.mark.parametrize("how", ["photometric", "byol", "multimae", "multimae_depth"])
def test_colours_change_and_places_do_not(how: str) -> None:
    torch.manual_seed(0)
    image = tv_tensors.Image(torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8))
    image[:, :4] = 128
    changed = [change_colours(image, how) for _ in range(8)]
    assert all(c.shape == image.shape and c.dtype == torch.uint8 for c in changed)
    assert any(not torch.equal(c, image) for c in changed)
    assert all((c[:, :4].float() - c[:, :1, :1].float()).abs().max() <= 1 for c in changed)
    assert change_colours(image, "none") is image


def test_windows_cover_every_pixel() -> None:
    assert starts(512, 512, 341) == [0]
    assert starts(683, 512, 341) == [0, 171]
    assert starts(1200, 512, 341) == [0, 341, 682, 688]
    for length in range(20, 60):
        begins = starts(length, 20, 13)
        assert sorted({p for b in begins for p in range(b, b + 20)}) == list(range(length))


class PerPixel(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([images, images.square()], 1)


class Positions(torch.nn.Module):
    """What no sliding window leaves alone: where in its window a pixel is."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows = torch.arange(images.shape[-2])[:, None] * 100 + torch.arange(images.shape[-1])
        return images[:, :1] * 0 + rows


def test_windows_of_a_per_pixel_net_are_the_whole_image() -> None:
    images = torch.randn(1, 3, 37, 53)
    torch.testing.assert_close(slide(PerPixel(), images, 16, 11), PerPixel()(images))
    torch.testing.assert_close(slide(PerPixel(), images, 64, 40), PerPixel()(images))


def test_overlapping_windows_are_averaged() -> None:
    images, net = torch.randn(1, 3, 21, 30), Positions()
    total, count = torch.zeros(21, 30), torch.zeros(21, 30)
    for top in (0, 5, 10, 13):
        for left in (0, 5, 10, 15, 20, 22):
            total[top : top + 8, left : left + 8] += net(images[..., top : top + 8, left : left + 8])[0, 0]
            count[top : top + 8, left : left + 8] += 1
    torch.testing.assert_close(slide(net, images, 8, 5)[0, 0], total / count)


def batches(tmp_path, **changes) -> SceneBatches:
    transform = ScaleAndCrop(FILL, (16, 16), (0.5, 2.0))
    return SceneBatches(Painted(10), label_map_sample, transform, 4, Answer(), compute(tmp_path, **changes))


def test_batches_follow_from_seed_and_epoch(tmp_path) -> None:
    whole, again = (list(batches(tmp_path).epoch(3)) for _ in range(2))
    assert len(whole) == len(batches(tmp_path)) == 2
    later = list(batches(tmp_path).epoch(3, start=1))
    with_help = list(batches(tmp_path, workers=2).epoch(3))
    for other in (again[1], later[0], with_help[1]):
        assert torch.equal(whole[1][0], other[0])
        assert torch.equal(whole[1][1], other[1])
    assert not torch.equal(whole[0][0], next(batches(tmp_path).epoch(4))[0])
    assert not torch.equal(whole[0][0], next(batches(tmp_path, seed=1).epoch(3))[0])


def test_an_update_in_several_forwards(tmp_path) -> None:
    def made(accumulate: int) -> SceneBatches:
        return SceneBatches(
            Painted(10), label_map_sample, lambda s: s, 4, Answer(), Compute(cache=tmp_path), accumulate=accumulate
        )

    one, two = list(made(1).epoch(0)), list(made(2).epoch(0))
    assert [len(x) for x, _ in two] == [2] * 4
    assert torch.equal(one[0][0], torch.cat([two[0][0], two[1][0]]))
    with pytest.raises(SettingsError, match="cannot be shared by 5 forwards"):
        made(5)


def test_fills_follow_the_models_mean() -> None:
    assert fills(network("vit"))[tv_tensors.Image] == [128, 128, 128]
