from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from data_common import AS_IT_IS, random_split
from PIL import Image

from ssl_bench.cards import PreprocessCard
from ssl_bench.data.loader import image_batches
from ssl_bench.data.splits import FileSplit
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import DataError, ImageError


def folder_of_images(folder: Path, n: int, broken: tuple[int, ...] = (), side: int = 12) -> FileSplit:
    random = np.random.RandomState(0)
    for index in range(n):
        Image.fromarray(random.randint(0, 256, (side, side, 3)).astype(np.uint8)).save(folder / f"{index}.png")
    for index in broken:
        (folder / f"{index}.png").write_bytes(b"broken")
    return FileSplit(folder, [f"{index}.png" for index in range(n)], [0] * n, ["all"])


@pytest.mark.parametrize("workers", [0, 2])
def test_order_and_numbers_are_those_of_single_images(tmp_path: Path, workers: int) -> None:
    split, preprocess = folder_of_images(tmp_path, 11), Preprocess(PreprocessCard(resize=10, crop=8))
    wanted = [3, 1, 10, 7, 0, 9, 2]
    found = list(image_batches(split, preprocess, wanted, 3, workers))
    assert [index.tolist() for index, _ in found] == [[3, 1, 10], [7, 0, 9], [2]]
    expected = torch.stack([preprocess(split.image(index)) for index in wanted])
    assert torch.equal(torch.cat([images for _, images in found]), expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_image_stops_with_its_own_error(tmp_path: Path, workers: int) -> None:
    split = folder_of_images(tmp_path, 6, broken=(4,))
    with pytest.raises(ImageError, match=r"4\.png: cannot be read as an image") as caught:
        list(image_batches(split, Preprocess(AS_IT_IS), range(6), 2, workers))
    assert caught.value.hint is not None
    assert "--skip-broken" in caught.value.hint


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_images_can_be_left_out(tmp_path: Path, workers: int) -> None:
    split = folder_of_images(tmp_path, 7, broken=(0, 2, 3))
    broken: list[int] = []
    batches = image_batches(
        split, Preprocess(AS_IT_IS), range(7), 2, workers, on_broken=lambda index, error: broken.append(index)
    )
    assert [index.tolist() for index, _ in batches] == [[1], [4, 5], [6]]
    assert broken == [0, 2, 3]


def test_images_in_memory_take_no_detour_and_give_the_same() -> None:
    split, preprocess = random_split(9), Preprocess(AS_IT_IS)
    ((index, images),) = image_batches(split, preprocess, np.arange(9), 16)
    assert index.tolist() == list(range(9))
    assert torch.equal(images, torch.stack([preprocess(split.image(i)) for i in range(9)]))


def test_any_callable_is_a_transform() -> None:
    def half(image: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.array(image)).permute(2, 0, 1) / 2

    split = random_split(5)
    images = torch.cat([images for _, images in image_batches(split, half, range(5), 2)])
    assert torch.equal(images, torch.from_numpy(split.pixels).permute(0, 3, 1, 2) / 2)


def test_images_of_different_sizes_are_refused(tmp_path: Path) -> None:
    for index, size in enumerate(((8, 8), (9, 8))):
        Image.new("RGB", size).save(tmp_path / f"{index}.png")
    split = FileSplit(tmp_path, ["0.png", "1.png"], [0, 0], ["all"])
    with pytest.raises(DataError, match="different sizes"):
        list(image_batches(split, Preprocess(AS_IT_IS), range(2), 2))
