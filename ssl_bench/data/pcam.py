"""PatchCamelyon: ``pcam/camelyonpatch_level_2_split_{train,valid,test}_{x,y}.h5``, read image by image (extra ``hdf5``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ssl_bench.cards import DatasetCard
from ssl_bench.data.dataset import Dataset, Split
from ssl_bench.data.imagefolder import required
from ssl_bench.errors import DataError, ImageError, MissingExtraError

CLASSES = ("no tumour", "tumour")
FILE = "camelyonpatch_level_2_split_{}_{}.h5"
LAYOUT = "pcam/camelyonpatch_level_2_split_{train,valid,test}_{x,y}.h5, unpacked,"


class PcamSplit(Split):
    """Images of 96 x 96 in one HDF5 file, (N, 96, 96, 3) uint8 under ``x``; opened anew for each, so that the loader's
    processes share nothing."""

    classes = CLASSES

    def __init__(self, images: Path, labels: np.ndarray) -> None:
        self.images = images
        self.labels = labels.astype(np.int64)

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(self._pixels(index))

    def identity(self, index: int) -> str:
        """Of the file, not of the pixels: hashing 7 GB at every start would take longer than many tasks."""
        return f"{self.images.name}:{self.images.stat().st_size}:{index}"

    def _pixels(self, index: int) -> np.ndarray:
        try:
            with _h5py().File(self.images) as file:
                pixels: np.ndarray = file["x"][index]
        except (OSError, KeyError) as error:
            raise ImageError(
                f"{self.images}, image {index}: cannot be read: {error}.", "Unpack the file again."
            ) from error
        return pixels


def pcam(root: Path, card: DatasetCard) -> Dataset:
    """262,144 train, 32,768 val and test; the class says whether there is tumour tissue in the middle."""
    folder = required(root / "pcam", root, LAYOUT)
    train, val, test = (_split(folder, part) for part in ("train", "valid", "test"))
    return Dataset(card.name, train, test, val, card.metric)


def _split(folder: Path, part: str) -> PcamSplit:
    images, labels = (folder / FILE.format(part, kind) for kind in "xy")
    for path in (images, labels):
        if not path.is_file():
            raise DataError(f"There is no file {path.absolute()}.", f"Expected: {LAYOUT} under the data root.")
    try:
        with _h5py().File(labels) as file:
            y = np.asarray(file["y"]).reshape(-1)
        with _h5py().File(images) as file:
            shape = file["x"].shape
    except (OSError, KeyError) as error:
        raise DataError(f"{folder}: its {part} files cannot be read: {error}.", "Unpack them again.") from error
    if len(y) != shape[0] or shape[1:] != (96, 96, 3):
        raise DataError(f"{images}: holds images {shape}, and there are {len(y)} labels.", "Unpack the files again.")
    return PcamSplit(images, y)


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("h5py", "hdf5", "Reading PatchCamelyon") from error
    return h5py
