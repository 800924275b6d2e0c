"""PASCAL VOC's objects: boxes and which classes are in an image, in the layout of the official archives (and torchvision's).

``VOCdevkit/VOC<year>/{JPEGImages,Annotations,ImageSets/Main/<set>.txt}``. The files state boxes as first and last pixel,
counted from 1; here they are edges counted from 0: x1 - 1, y1 - 1, x2, y2.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ssl_bench.cards import DatasetCard
from ssl_bench.data.boxes import clipped
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.scenes import Instances, SceneSplit
from ssl_bench.data.splits import FileSplit
from ssl_bench.errors import DataError

# fmt: off
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)
# fmt: on


class VocSplit(FileSplit, SceneSplit):
    """``images``: ``VOC2007/000005`` and so on. The one label of an image is 0: VOC has several."""

    targets = frozenset({"instances", "present"})

    def __init__(self, devkit: Path, images: list[str]) -> None:
        paths = [f"{year}/JPEGImages/{name}.jpg" for year, name in (image.split("/") for image in images)]
        super().__init__(devkit, paths, np.zeros(len(paths)), CLASSES)

    def annotation(self, index: int) -> Path:
        """The XML file of an image."""
        image = self.file(index)
        return image.parent.parent / "Annotations" / f"{image.stem}.xml"

    def target_files(self, index: int) -> tuple[Path, ...]:
        return (self.annotation(index),)

    def identity(self, index: int) -> str:
        annotation = self.annotation(index)
        if not annotation.is_file():
            raise _missing(annotation)
        return f"{super().identity(index)}:{annotation.stat().st_size}"

    def instances(self, index: int, masks: bool = True) -> Instances:
        """All objects, the difficult ones too; :class:`DataError` that names the file if it is not as it should be."""
        path = self.annotation(index)
        root = _parsed(path)
        try:
            width, height = (int(_text(root, f"size/{side}")) for side in ("width", "height"))
            objects = root.findall("object")
            names = [_text(item, "name") for item in objects]
            corners = [
                [float(_text(item, f"bndbox/{key}")) for key in ("xmin", "ymin", "xmax", "ymax")] for item in objects
            ]
            difficult = [int(item.findtext("difficult") or 0) == 1 for item in objects]
        except ValueError as error:
            raise DataError(f"{path}: is not as VOC's annotations are: {error}.", "Unpack the archive again.") from None
        unknown = sorted(set(names) - set(CLASSES))
        if unknown:
            raise DataError(f"{path}: there is no class {unknown[0]!r}.", f"VOC's classes: {', '.join(CLASSES)}.")
        boxes = np.array(corners, dtype=np.float64).reshape(-1, 4) - [1, 1, 0, 0]
        return Instances(
            clipped(boxes, width, height, str(path)).astype(np.float32),
            np.array([CLASSES.index(name) for name in names], dtype=np.int64),
            difficult=np.array(difficult, dtype=bool),
        )

    def present(self) -> np.ndarray:
        return self._present

    @cached_property
    def _present(self) -> np.ndarray:
        found = np.zeros((len(self), len(CLASSES)), dtype=np.int8)
        for index in range(len(self)):
            objects = self.instances(index)
            found[index, objects.labels[objects.difficult]] = -1
            found[index, objects.labels[~objects.difficult]] = 1
        return found


def voc(root: Path, card: DatasetCard) -> Dataset:
    """``options``: ``train`` and ``test``, each a list of ``VOC<year>/<set>``."""
    devkit = devkit_of(root, card)
    train, test = (
        [image for part in card.options[name] for image in listed(devkit, part)] for name in ("train", "test")
    )
    split = VocSplit(devkit, train)
    split.validation = _validation(devkit, train, card.options["train"])
    return Dataset(card.name, split, VocSplit(devkit, test), metric=card.metric)


def _validation(devkit: Path, train: list[str], parts: list[str]) -> np.ndarray | None:
    """Positions in ``train`` of the images that the official lists ``val`` beside ``trainval`` name."""
    lists = [part.replace("/trainval", "/val") for part in parts if part.endswith("/trainval")]
    names = {
        image
        for part in lists
        if (devkit / part.replace("/val", "/ImageSets/Main/val.txt")).is_file()
        for image in listed(devkit, part)
    }
    return np.flatnonzero([image in names for image in train]) if names else None


def devkit_of(root: Path, card: DatasetCard) -> Path:
    """The folder VOCdevkit below the data root, or below a folder with the data set's name."""
    for place in (root, root / card.name, root / "voc"):
        if (place / "VOCdevkit").is_dir():
            return place / "VOCdevkit"
    raise DataError(
        f"There is no data set {card.name} in {root.absolute()}.",
        "Expected: VOCdevkit/VOC<year>/{JPEGImages,Annotations,ImageSets} under the data root (--data-root or "
        "SSL_BENCH_DATA).",
    )


def listed(devkit: Path, part: str, task: str = "Main") -> list[str]:
    """``VOC2007/trainval`` -> ``VOC2007/000005`` ..., in the order of the official list of this task."""
    year, _, name = part.partition("/")
    path = devkit / year / "ImageSets" / task / f"{name}.txt"
    if not path.is_file():
        raise DataError(
            f"There is no list {path}.",
            f"Unpack the archives of {year} into {devkit.absolute().parent}; VOC2007's test images are an archive of their own.",
        )
    return [f"{year}/{line.split()[0]}" for line in path.read_text().splitlines() if line.strip()]


def _parsed(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except FileNotFoundError:
        raise _missing(path) from None
    except (ElementTree.ParseError, OSError) as error:
        raise DataError(f"{path}: cannot be read as an annotation: {error}.", "Unpack the archive again.") from None


def _missing(path: Path) -> DataError:
    return DataError(f"There is no annotation {path}.", "Unpack the archive again: every listed image has one.")


def _text(item: ElementTree.Element, name: str) -> str:
    found = item.findtext(name)
    if found is None:
        raise ValueError(f"<{item.tag}> has no <{name}>")
    return found.strip()
