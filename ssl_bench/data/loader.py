"""Batches of prepared images in a fixed order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from ssl_bench.data.dataset import Split
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import DataError, ImageError

Item = tuple[int, "torch.Tensor | ImageError"]
Broken = Callable[[int, ImageError], None]


def image_batches(
    split: Split,
    preprocess: Callable[[Image.Image], torch.Tensor],
    indices: Sequence[int] | np.ndarray,
    batch_size: int,
    workers: int = 0,
    *,
    device: torch.device | None = None,
    on_broken: Broken | None = None,
) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """(b,) positions in the split and (b, 3, H, W) prepared images on ``device``, in the order of ``indices``.

    An image that cannot be read stops with its :class:`ImageError`, also out of a worker; with ``on_broken`` it is
    reported there as (position, error) and left out of its batch, which is then smaller.
    """
    device = device or torch.device("cpu")
    indices = np.asarray(indices, dtype=np.int64)
    finish = preprocess.normalise if isinstance(preprocess, Preprocess) else _as_it_is
    for where, images in _in_memory(split, preprocess, indices, batch_size) or _loaded(
        split, preprocess, indices, batch_size, workers, device, on_broken
    ):
        yield where, finish(images.to(device, non_blocking=True))


def _as_it_is(images: torch.Tensor) -> torch.Tensor:
    return images


def _in_memory(
    split: Split, preprocess: Callable[..., torch.Tensor], indices: np.ndarray, batch_size: int
) -> Iterator[tuple[np.ndarray, torch.Tensor]] | None:
    """Slices of the split's array, if the transform would not change its pixels; else None."""
    whole = split.array()
    if whole is None or not isinstance(preprocess, Preprocess) or not preprocess.keeps(*whole.shape[1:3]):
        return None
    chunks = (indices[at : at + batch_size] for at in range(0, len(indices), batch_size))
    return ((chunk, torch.from_numpy(whole[chunk]).permute(0, 3, 1, 2)) for chunk in chunks)


def _loaded(
    split: Split,
    preprocess: Callable[[Image.Image], torch.Tensor],
    indices: np.ndarray,
    batch_size: int,
    workers: int,
    device: torch.device,
    on_broken: Broken | None,
) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    loader = DataLoader(
        _Prepared(split, preprocess, indices),
        batch_size=batch_size,
        num_workers=min(workers, -(-len(indices) // batch_size)),
        collate_fn=partial(_collate, on_broken is not None),
        pin_memory=device.type == "cuda",
        worker_init_fn=_be_nice,
    )
    for where, images, broken in loader:
        for index, error in broken:
            if on_broken is None:
                raise error
            on_broken(index, error)
        if len(where):
            yield where, images


class _Prepared(TorchDataset[Item]):
    """An error is an item, not an exception: DataLoader would wrap it and lose its message."""

    def __init__(self, split: Split, preprocess: Callable[[Image.Image], torch.Tensor], indices: np.ndarray) -> None:
        self.split, self.preprocess, self.indices = split, preprocess, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Item:
        index = int(self.indices[position])
        try:
            if isinstance(self.preprocess, Preprocess):
                return index, self.preprocess.load(self.split, index)
            return index, self.preprocess(self.split.image(index))
        except ImageError as error:
            return index, error


def _collate(skip: bool, items: list[Item]) -> tuple[np.ndarray, torch.Tensor, list[tuple[int, ImageError]]]:
    good = [(index, image) for index, image in items if isinstance(image, torch.Tensor)]
    broken = [(index, error) for index, error in items if isinstance(error, ImageError)]
    if broken and not skip:
        return np.empty(0, np.int64), torch.empty(0), broken
    sizes = {tuple(image.shape) for _, image in good}
    if len(sizes) > 1:
        raise DataError(
            f"Prepared images have different sizes: {', '.join(map(str, sorted(sizes)[:3]))}.",
            "The model's preprocess must crop to one size: give its card a `crop`.",
        )
    images = torch.stack([image for _, image in good]) if good else torch.empty(0)
    return np.array([index for index, _ in good], dtype=np.int64), images, broken


def _be_nice(worker: int) -> None:
    """Workers give way to the process that computes."""
    if hasattr(os, "nice"):
        os.nice(1)
