"""DAVIS 2016 and 2017: videos with masks of every frame, in the layout of the official archives."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ssl_bench.cards import DatasetCard
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.images import explained, open_rgb
from ssl_bench.data.sequences import SequenceSplit
from ssl_bench.errors import DataError

VOID = 255


class DavisSplit(SequenceSplit):
    """``names`` of videos below ``root/{JPEGImages,Annotations}/480p``. ``binary``: masks are one object, whatever their
    value is (2016); else the values are the objects, and 255 is background (2017)."""

    classes = ("video",)

    def __init__(self, root: Path, names: Sequence[str], binary: bool) -> None:
        self.root, self.names, self.binary = root, tuple(names), binary
        self.frames = [_frames(root, name) for name in names]
        self.lengths = np.array([len(frames) for frames in self.frames])
        self.labels = np.zeros(len(names), dtype=np.int64)

    def frame(self, index: int, time: int) -> Image.Image:
        return open_rgb(self.root / "JPEGImages/480p" / self.names[index] / f"{self.frames[index][time]}.jpg")

    def mask(self, index: int, time: int) -> np.ndarray:
        path = self._mask_file(index, time)
        with explained(path), Image.open(path) as image:
            values = np.asarray(image)
        if values.ndim != 2:
            raise DataError(f"{path}: is a picture with colours; its pixels must be numbers of objects.")
        objects = values > 0 if self.binary else np.where(values == VOID, 0, values)
        return objects.astype(np.uint8)

    def file(self, index: int) -> Path:
        return self.root / "JPEGImages/480p" / self.names[index] / f"{self.frames[index][0]}.jpg"

    def title(self, index: int) -> str:
        return self.names[index]

    def identity(self, index: int) -> str:
        digest = hashlib.sha256()
        for time, frame in enumerate(self.frames[index]):
            image = self.file(index).with_name(f"{frame}.jpg")
            digest.update(f"{frame}\t{image.stat().st_size}\t{self._mask_file(index, time).stat().st_size}\n".encode())
        return f"{self.names[index]}:{self.binary}:{digest.hexdigest()}"

    def _mask_file(self, index: int, time: int) -> Path:
        return self.root / "Annotations/480p" / self.names[index] / f"{self.frames[index][time]}.png"


def davis(root: Path, card: DatasetCard) -> Dataset:
    """``options``: ``folders`` (names to look for below the data root), ``year`` (2016: one object a video; 2017).

    The videos are those of ``ImageSets/<year>/val.txt`` (2016 also ``ImageSets/480p/val.txt``), or without a list all there
    are. Nothing is trained, so that ``train`` and ``test`` are the same videos.
    """
    year = int(card.options["year"])
    for name in card.options["folders"]:
        folder = root / name
        if (folder / "JPEGImages" / "480p").is_dir():
            split = DavisSplit(folder, _names(folder, year), year == 2016)
            return Dataset(card.name, split, split, metric=card.metric)
    raise DataError(
        f"There is no data set {card.name} in {root.absolute()}.",
        f"Expected: {card.options['folders'][0]}/{{JPEGImages,Annotations}}/480p/<video>/ and ImageSets/{year}/val.txt under "
        "the data root (--data-root or SSL_BENCH_DATA).",
    )


def _names(folder: Path, year: int) -> list[str]:
    lists = [folder / f"ImageSets/{year}/val.txt", *([folder / "ImageSets/480p/val.txt"] if year == 2016 else [])]
    for path in lists:
        if path.is_file():
            lines = [line.split()[0] for line in path.read_text().splitlines() if line.strip()]
            # DAVIS 2016 lists frames: /JPEGImages/480p/blackswan/00000.jpg /Annotations/480p/blackswan/00000.png
            found = list(dict.fromkeys(Path(line).parent.name if "/" in line else line for line in lines))
            break
    else:
        found = sorted(path.name for path in (folder / "JPEGImages/480p").iterdir() if path.is_dir())
    if not found:
        raise DataError(f"There is no video in {folder}.", "Unpack the archive again.")
    return found


def _frames(root: Path, name: str) -> list[str]:
    """Names of a video's frames in order, without their endings; each must have a mask."""
    images = root / "JPEGImages/480p" / name
    frames = sorted(path.stem for path in images.glob("*.jpg")) if images.is_dir() else []
    if not frames:
        raise DataError(f"There is no frame in {images}.", "Unpack the archive again, or take the video off the list.")
    for frame in frames:
        mask = root / "Annotations/480p" / name / f"{frame}.png"
        if not mask.is_file():
            raise DataError(f"There is no mask {mask} for the frame {name}/{frame}.jpg.", "Unpack the archive again.")
    return frames
