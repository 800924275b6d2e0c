from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from data_common import sample_images
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from sklearn.datasets import load_sample_images
from torchvision import transforms as T

from ssl_bench.cards import PreprocessCard
from ssl_bench.data.fast import FastPreprocess
from ssl_bench.data.splits import FileSplit
from ssl_bench.data.transforms import Preprocess

CARDS = {
    "dino": PreprocessCard(),
    "moco": PreprocessCard(interpolation="bilinear"),
    "clip": PreprocessCard(
        resize=224, mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711)
    ),
    "lanczos": PreprocessCard(resize=232, interpolation="lanczos"),
    "box": PreprocessCard(resize=248, interpolation="box"),
    "squash": PreprocessCard(resize=224, crop=224, squash=True),
    "larger": PreprocessCard(resize=518, crop=448),
    "no crop": PreprocessCard(resize=96, crop=None),
    "simclr": PreprocessCard(crop_first="nearest", mean=(0, 0, 0), std=(1, 1, 1)),
    "byol": PreprocessCard(crop_first="down"),
}


@settings(deadline=None, max_examples=30)
@given(st.integers(20, 400), st.integers(20, 400), st.sampled_from(["bilinear", "bicubic", "nearest"]))
def test_exact_is_torchvisions_original_transform(width: int, height: int, interpolation: str) -> None:
    card = PreprocessCard(resize=64, crop=56, interpolation=interpolation)
    image = noise(width, height)
    mode = T.InterpolationMode(interpolation)
    steps = [T.Resize(64, mode), T.CenterCrop(56), T.ToTensor(), T.Normalize(card.mean, card.std)]
    assert torch.equal(Preprocess(card)(image), T.Compose(steps)(image))


def test_an_image_smaller_than_the_crop_is_padded_as_torchvision_does() -> None:
    image = noise(31, 20)
    card = PreprocessCard(resize=None, crop=32)
    expected = T.Compose([T.CenterCrop(32), T.ToTensor(), T.Normalize(card.mean, card.std)])(image)
    for kind in (Preprocess, FastPreprocess):
        assert torch.equal(kind(card)(image), expected)


@pytest.mark.parametrize("kind", [Preprocess, FastPreprocess])
@pytest.mark.parametrize(
    ("size", "rounding", "square"),
    [
        ((500, 376), "nearest", 329),  # 329 exactly
        ((300, 500), "nearest", 262),  # 262.5: a half to the even neighbour
        ((300, 500), "down", 262),
        ((500, 333), "nearest", 291),  # 291.375
        ((500, 335), "nearest", 293),  # 293.125
        ((303, 400), "nearest", 265),  # 265.125
        ((500, 300), "nearest", 262),
        ((500, 375), "nearest", 328),  # 328.125
        ((500, 373), "nearest", 326),  # 326.375
        ((500, 371), "nearest", 325),  # 324.625
        ((500, 371), "down", 324),
        ((500, 308), "nearest", 270),  # 269.5: a half to the even neighbour, which is above
        ((500, 308), "down", 269),
    ],
)
def test_crop_first_cuts_the_square_before_it_resizes(
    kind: type[Preprocess], size: tuple[int, int], rounding: Literal["nearest", "down"], square: int
) -> None:
    image = noise(*size)
    left, top = ((length - square + 1) // 2 for length in size)
    expected = image.crop((left, top, left + square, top + square)).resize((224, 224), Image.Resampling.BICUBIC)
    found = kind(PreprocessCard(crop_first=rounding)).pixels(image)
    np.testing.assert_array_equal(found.permute(1, 2, 0).numpy(), np.asarray(expected))


def test_crop_first_is_not_the_usual_order() -> None:
    photograph = Image.fromarray(load_sample_images().images[0])
    usual, first = Preprocess(PreprocessCard()), Preprocess(PreprocessCard(crop_first="nearest"))
    assert (usual.pixels(photograph).int() - first.pixels(photograph).int()).abs().max() > 50


def test_crop_first_changes_images_of_the_cards_size_too() -> None:
    card = PreprocessCard(resize=32, crop=28, crop_first="down")
    assert not Preprocess(card).keeps(32, 32)
    assert not Preprocess(card).keeps(28, 28)
    assert Preprocess(card.model_copy(update={"resize": None, "crop": None})).keeps(32, 32)


@pytest.mark.parametrize("wrong", [{"resize": None}, {"crop": None}, {"squash": True}, {"resize": 200}])
def test_crop_first_needs_both_sizes(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="crop_first needs"):
        PreprocessCard(crop_first="down", **wrong)


def noise(width: int, height: int) -> Image.Image:
    random = np.random.RandomState(width * 1000 + height)
    return Image.fromarray(random.randint(0, 256, (height, width, 3)).astype(np.uint8))


def differences(card: PreprocessCard, images: list[Image.Image]) -> np.ndarray:
    exact, fast = Preprocess(card), FastPreprocess(card)
    return np.concatenate([(exact.pixels(i).int() - fast.pixels(i).int()).abs().numpy().ravel() for i in images])


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_fast_is_within_its_tolerance_on_photographs(card: PreprocessCard) -> None:
    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    cuts = [
        p.crop((7, 3, 7 + w, 3 + h)) for p in photographs for w, h in ((500, 375), (333, 420), (224, 224), (97, 130))
    ]
    found = differences(card, cuts)
    assert found.max() <= 1
    assert (found > 0).mean() <= 0.001


def test_fast_is_within_its_tolerance_on_real_files(shared_data: Path) -> None:
    paths = sample_images(shared_data, 40)
    split = FileSplit(paths[0].parent, [path.name for path in paths], [0] * len(paths), ["all"])
    for card in (CARDS["moco"], CARDS["clip"]):
        exact, fast = Preprocess(card), FastPreprocess(card)
        found = torch.stack([(exact.load(split, i).int() - fast.load(split, i).int()).abs() for i in range(len(split))])
        assert found.max() <= 1
        assert found.gt(0).float().mean() <= 0.001


@settings(deadline=None, max_examples=40)
@given(
    st.integers(10, 300),
    st.integers(10, 700),
    st.integers(16, 90),
    st.sampled_from(["bilinear", "bicubic", "lanczos", "box"]),
)
def test_fast_is_within_its_tolerance_at_any_size(width: int, height: int, resize: int, interpolation: str) -> None:
    """Noise is the hardest case: every rounding happens. A few values may be more than a thousandth of a tiny image."""
    found = differences(PreprocessCard(resize=resize, crop=16, interpolation=interpolation), [noise(width, height)])
    assert found.max() <= 1
    assert (found > 0).sum() <= (0 if interpolation in {"bilinear", "box"} else 0.01 * found.size)


@pytest.mark.parametrize("size", [(320, 320), (272, 300), (448, 336), (384, 384), (500, 375), (375, 500), (260, 800)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_fast_is_within_its_tolerance_where_halves_are_frequent(size: tuple[int, int], interpolation: str) -> None:
    """320 to 256 and the like: every fifth bilinear value is an exact half. (260, 800): Pillow turns its passes round."""
    found = differences(PreprocessCard(interpolation=interpolation), [noise(*size)])
    assert found.max() <= 1
    assert (found > 0).mean() <= (0 if interpolation == "bilinear" else 0.001)


@pytest.mark.parametrize(("mode", "suffix"), [("L", "jpg"), ("CMYK", "jpg"), ("P", "png"), ("RGB", "jpg")])
def test_fast_reads_every_kind_of_file_as_exact_does(tmp_path: Path, mode: str, suffix: str) -> None:
    image = Image.fromarray(load_sample_images().images[0]).resize((300, 240)).convert(mode)
    image.save(tmp_path / f"image.{suffix}")
    split = FileSplit(tmp_path, [f"image.{suffix}"], [0], ["all"])
    card = PreprocessCard(resize=None, crop=200)
    assert torch.equal(FastPreprocess(card).load(split, 0), Preprocess(card).load(split, 0))


def test_normalising_a_batch_gives_the_numbers_of_single_images() -> None:
    preprocess = Preprocess(CARDS["dino"])
    images = [noise(300, 260), noise(256, 400)]
    batch = preprocess.normalise(torch.stack([preprocess.pixels(image) for image in images]))
    assert torch.equal(batch, torch.stack([preprocess(image) for image in images]))
    assert batch.is_contiguous()
