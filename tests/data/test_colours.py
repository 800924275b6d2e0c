"""Colour spaces against the libraries whose numbers the authors' networks were trained on."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_bench.cards import Colour, PreprocessCard
from ssl_bench.data.colours import SPACES, convert
from ssl_bench.data.fast import FastPreprocess
from ssl_bench.data.transforms import Preprocess


def all_with_red(red: int) -> np.ndarray:
    """(256, 256, 3): every colour with this red."""
    green, blue = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    return np.stack([np.full_like(green, red), green, blue], axis=-1).astype(np.uint8)


def found(image: np.ndarray, colour: str) -> np.ndarray:
    return convert(torch.from_numpy(image).permute(2, 0, 1), colour).permute(1, 2, 0).numpy()


def vissl_lab(image: np.ndarray) -> np.ndarray:
    """VISSL's ``img_pil_to_lab_tensor.py``, step by step."""
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    scaled = cv2.cvtColor(np.ascontiguousarray(image[:, :, ::-1]), cv2.COLOR_BGR2LAB).astype(np.float32)
    scaled[:, :, 0] = scaled[:, :, 0] * (100.0 / 255.0) - 50.0
    scaled[:, :, 1:] -= 128.0
    return scaled


@pytest.mark.parametrize("red", [0, 5, 61, 92, 128, 255])
def test_opencv_lab_is_exact(red: int) -> None:
    """Zero difference; the same holds for all 256 reds (checked once with OpenCV 5.0)."""
    image = all_with_red(red)
    np.testing.assert_array_equal(found(image, "lab_opencv"), vissl_lab(image))


@pytest.mark.parametrize(
    ("colour", "function", "tolerance"),
    [("lab", "rgb2lab", 1e-4), ("ycbcr", "rgb2ycbcr", 5e-5), ("ydbdr", "rgb2ydbdr", 1e-6)],
)
@pytest.mark.parametrize("red", [10, 255])
def test_scikit_image(colour: str, function: str, tolerance: float, red: int) -> None:
    color = pytest.importorskip("skimage.color", reason="scikit-image is not installed")
    image = all_with_red(red)
    np.testing.assert_allclose(found(image, colour), getattr(color, function)(image), rtol=0, atol=tolerance)


def test_eight_bit_lab_is_not_lab() -> None:
    """OpenCV's whole numbers are up to 1.5 away from Lab, and L is shifted."""
    image = all_with_red(77)
    difference = np.abs(found(image, "lab_opencv") + np.float32([50, 0, 0]) - found(image, "lab")).reshape(-1, 3).max(0)
    assert (difference > 0.15).all()
    assert (difference < 1.5).all()


def test_a_card_may_name_exactly_these() -> None:
    assert {"rgb", *SPACES} == set(get_args(Colour))


@pytest.mark.parametrize("pipeline", [Preprocess, FastPreprocess])
def test_the_transform_of_vissl_s_colourisation(pipeline: type[Preprocess]) -> None:
    """Resize and crop in RGB, then Lab; no mean, no std. One image as a batch of them."""
    card = PreprocessCard(
        resize=40, crop=32, interpolation="bilinear", colour="lab_opencv", mean=(0, 0, 0), std=(1, 1, 1)
    )
    pixels = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    transform = pipeline(card)
    resized = transform.pixels(image)
    expected = torch.from_numpy(vissl_lab(resized.permute(1, 2, 0).numpy())).permute(2, 0, 1)
    assert torch.equal(transform(image), expected)
    batch = torch.stack([resized, resized.flip(2)])
    assert torch.equal(transform.normalise(batch), torch.stack([expected, expected.flip(2)]))
    assert batch.dtype == torch.uint8


def test_mean_and_std_are_in_the_colour_space() -> None:
    """CMC: Lab with the middle and half the range of each channel."""
    mean, std = (50.0, 6.025, -6.6895), (50.0, 92.208, 101.1675)
    card = PreprocessCard(resize=None, crop=None, colour="lab", mean=mean, std=std)
    image = all_with_red(200)
    expected = (found(image, "lab") - np.float32(mean)) / np.float32(std)
    np.testing.assert_array_equal(Preprocess(card)(Image.fromarray(image)).permute(1, 2, 0).numpy(), expected)
