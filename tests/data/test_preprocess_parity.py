"""Every shipped card's evaluation transform, pixel by pixel, against a restatement with Pillow's resampling and NumPy; and its
numbers against those of the fact sheets."""

from __future__ import annotations

import csv
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_bench.cards import ModelCard, PreprocessCard
from ssl_bench.data.transforms import Preprocess
from ssl_bench.registry import registry

FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4}


@cache
def shipped() -> dict[str, ModelCard]:
    cards = {name: registry().models.get(name) for name in registry().models}
    return {name: c for name, c in cards.items() if isinstance(c, ModelCard) and c.modality == "image"}


TRANSFORMS = {card.preprocess.model_dump_json(): (name, card.preprocess) for name, card in reversed(shipped().items())}
"""Each transform once, under one of the models that have it."""
OTHERS = [
    ("lanczos", PreprocessCard(resize=232, interpolation="lanczos")),
    ("box", PreprocessCard(resize=248, interpolation="box")),
    ("no crop", PreprocessCard(resize=96, crop=None)),
    ("squash", PreprocessCard(resize=224, squash=True)),
]
every_transform = pytest.mark.parametrize(
    "card", [pytest.param(card, id=name) for name, card in [*TRANSFORMS.values(), *OTHERS]]
)


def restated(image: Image.Image, card: PreprocessCard) -> np.ndarray:
    """(H, W, 3) uint8."""
    rgb, scheme = Image.fromarray(colours(image)), FILTERS[card.interpolation]
    if card.crop_first:
        assert card.crop
        return np.asarray(tf_center_crop(rgb, card).resize((card.crop, card.crop), scheme))
    if card.resize is not None:
        rgb = rgb.resize(torchvision_size(rgb.size, card.resize, card.squash), scheme)
    pixels = np.asarray(rgb)
    return pixels if card.crop is None else center_crop(pixels, card.crop)


def torchvision_size(size: tuple[int, int], resize: int, squash: bool) -> tuple[int, int]:
    """Width and height after ``Resize``: the shorter side becomes ``resize``, the longer is cut off to a whole number."""
    width, height = size
    if squash:
        return resize, resize
    if width <= height:
        return resize, int(resize * height / width)
    return int(resize * width / height), resize


def center_crop(pixels: np.ndarray, side: int) -> np.ndarray:
    """``CenterCrop``: black where the image is smaller (one pixel more after it where the rest is odd); then from the
    middle, a half rounded to the even neighbour."""
    short = [max(side - length, 0) for length in pixels.shape[:2]]
    pixels = np.pad(pixels, [*((missing // 2, missing - missing // 2) for missing in short), (0, 0)])
    top, left = (round((length - side) / 2) for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def tf_center_crop(image: Image.Image, card: PreprocessCard) -> Image.Image:
    """SimCLR's ``center_crop`` (data_util.py: rint) and BYOL's (dataset.py: a cast to int32), in float32 as there."""
    assert card.crop
    assert card.resize
    pixels = np.asarray(image)
    exact = np.float32(card.crop / card.resize) * np.float32(min(pixels.shape[:2]))
    side = max(1, int(np.rint(exact) if card.crop_first == "nearest" else exact.astype(np.int32)))
    top, left = ((length - side + 1) // 2 for length in pixels.shape[:2])
    return Image.fromarray(pixels[top : top + side, left : left + side])


def colours(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 of any image: gray thrice; transparency left out; of inks, what they leave of white."""
    values = np.asarray(image).astype(np.int64)
    if image.mode == "L":
        values = np.repeat(values[..., None], 3, axis=2)
    elif image.mode == "CMYK":
        light = 255 - values[..., 3:]
        values = light - np.floor(values[..., :3] * light / 255 + 0.5).astype(np.int64)
    return values[..., :3].astype(np.uint8)


def check(image: Image.Image, card: PreprocessCard) -> None:
    preprocess, pixels = Preprocess(card), restated(image, card)
    np.testing.assert_array_equal(preprocess.pixels(image).permute(1, 2, 0).numpy(), pixels)
    if card.colour == "rgb":  # other spaces have tests of their own
        mean, std = np.float32(card.mean), np.float32(card.std)
        expected = ((pixels.astype(np.float32) / np.float32(255) - mean) / std).transpose(2, 0, 1)
        found = preprocess(image)
        assert found.dtype == torch.float32
        np.testing.assert_array_equal(found.numpy(), expected)


@every_transform
def test_photographs(card: PreprocessCard, shared_data: Path) -> None:
    """Eight whose shorter side is below 256, and eight others."""
    folder = shared_data / "imagenet1k_sample"
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    small = [row for row in rows if min(int(row["original_width"]), int(row["original_height"])) < 256]
    for row in [*small[:8], *rows[:: len(rows) // 8][:8]]:
        with Image.open(folder / row["file"]) as image:
            check(image, card)


SIZES = [(501, 333), (333, 501), (300, 500), (257, 256), (225, 224), (640, 427), (17, 13), (9, 60), (1, 3)]


@every_transform
def test_awkward_sizes(card: PreprocessCard) -> None:
    for size in SIZES:
        check(noise(size, "RGB"), card)


@every_transform
@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK"])
def test_images_of_other_kinds(card: PreprocessCard, mode: str) -> None:
    check(noise((299, 214), mode), card)


def noise(size: tuple[int, int], mode: str) -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.RandomState(size[0]).randint(0, 256, (size[1], size[0], bands)).astype(np.uint8)
    return Image.fromarray(values[..., 0] if bands == 1 else values, mode)


class Numbers(NamedTuple):
    """``how``: squash, or a card's ``crop_first``."""

    resize: int
    crop: int | None
    interpolation: str
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    how: str = ""
    colour: str = "rgb"


BILINEAR, BICUBIC = Numbers(256, 224, "bilinear"), Numbers(256, 224, "bicubic")
SWAV = BILINEAR._replace(std=(0.228, 0.224, 0.225))
CLIP = Numbers(224, 224, "bicubic", (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}

EXPECTED: dict[str, Numbers] = {
    **dict.fromkeys(("moco*", "simsiam_*", "barlowtwins_*", "vicreg_*", "msn_*", "ijepa_*"), BILINEAR),
    **dict.fromkeys(("dino_*", "ibot_*", "attmask_*", "mae_*", "maskfeat_*", "sdae_*", "splitmask_*"), BICUBIC),
    **dict.fromkeys(("cae_*", "data2vec_*", "multimae_*", "simmim_*"), BICUBIC),
    **dict.fromkeys(("swav_*", "deepclusterv2_*", "selav2_*"), SWAV),
    **dict.fromkeys(("instdisc_*", "npidpp_*", "pirl_*", "infomin_*", "obow_*", "virtex_*", "icmlm_*"), BILINEAR),
    **dict.fromkeys(("rotation_*", "jigsaw_*"), BILINEAR),
    "colorization_*": BILINEAR._replace(mean=(0, 0, 0), std=(1, 1, 1), colour="lab_opencv"),
    "cmc_*": BILINEAR._replace(mean=(50, 6.025, -6.6895), std=(50, 92.208, 101.1675), colour="lab"),
    "cmc_resnet50_pycontrast": BILINEAR._replace(mean=(0.457, -0.082, -0.052), std=(0.5, 1.331, 1.333), colour="ydbdr"),
    "amdim_*": Numbers(146, 128, "bicubic"),
    "simclr*": BICUBIC._replace(mean=(0, 0, 0), std=(1, 1, 1), how="nearest"),
    "simclr_vissl_*": BILINEAR,
    "supervised_vit*": BICUBIC,
    "supervised_resnet50": BILINEAR,
    "supervised_resnet50_v2": BILINEAR._replace(resize=232),
    "ijepa_vith16_448": Numbers(448, 448, "bilinear"),
    "simmim_swin*": Numbers(219, 192, "bicubic"),  # int(256 / 224 * 192)
    "beit_*": BICUBIC._replace(**HALF),
    "beit_*_in1k": BICUBIC,
    "byol_*": BICUBIC._replace(how="down"),
    "byol_vissl_*": BILINEAR,
    "clip_*": CLIP,
    "clip_resnet50x4": CLIP._replace(resize=288, crop=288),
    "clip_resnet50x16": CLIP._replace(resize=384, crop=384),
    "clip_resnet50x64": CLIP._replace(resize=448, crop=448),
    "clip_vitl14_336": CLIP._replace(resize=336, crop=336),
    "openclip_*": CLIP,
    "openclip_vitl14_laion2b": CLIP._replace(**HALF),
    "openclip_vitb16_plus_240": CLIP._replace(resize=240, crop=240),
    "flip_*": Numbers(224, 224, "bicubic", how="down"),
    "volta_*": Numbers(384, None, "bicubic", how="squash"),
}
"""Models -> what the fact sheets say of their authors' evaluation. The last pattern that fits a name counts."""


def last_fit(name: str) -> str | None:
    return next((pattern for pattern in reversed(EXPECTED) if fnmatch(name, pattern)), None)


@pytest.mark.parametrize("name", [name for name, card in shipped().items() if card.weights])
def test_the_numbers_are_the_sheets(name: str) -> None:
    card, pattern = shipped()[name].preprocess, last_fit(name)
    assert pattern is not None, f"write what the authors of {name} do into EXPECTED"
    how = "squash" if card.squash else card.crop_first or ""
    found = Numbers(card.resize or 0, card.crop, card.interpolation, card.mean, card.std, how, card.colour)
    assert found == EXPECTED[pattern]


def test_no_expectation_is_without_a_model() -> None:
    assert {last_fit(name) for name in shipped()} - {None} == set(EXPECTED)
