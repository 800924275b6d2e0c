"""COCO: boxes, masks and which classes are in an image.

``coco/{annotations/instances_{train,val}2017.json,train2017/*.jpg,val2017/*.jpg}``. The file of the training set holds
860,000 outlines: what is kept of it are arrays and one block of bytes, so that the loader's workers share it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ssl_bench.cards import DatasetCard
from ssl_bench.data.boxes import clipped, outside
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.scenes import Instances, SceneSplit
from ssl_bench.data.splits import FileSplit
from ssl_bench.errors import DataError


@dataclass(frozen=True)
class Annotations:
    """One file of annotations, the objects sorted by image. ``first``: (N + 1,) where each image's objects begin;
    ``outline``: (n + 1,) where each object's ``segmentation`` begins in ``outlines``, as JSON. ``sizes``: (N, 2) width and
    height. ``sha256``: of the file."""

    files: list[str]
    sizes: np.ndarray
    first: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray
    outline: np.ndarray
    outlines: bytes
    classes: tuple[str, ...]
    sha256: str


class CocoSplit(FileSplit, SceneSplit):
    """``folder``: of the images, below ``root``. The one label of an image is 0: COCO has several. ``present`` counts regions
    marked as crowd, as the multi-label literature does."""

    targets = frozenset({"instances", "present"})

    def __init__(self, root: Path, folder: str, annotations: Annotations) -> None:
        self.annotations = annotations
        paths = [f"{folder}/{name}" for name in annotations.files]
        super().__init__(root, paths, np.zeros(len(paths)), annotations.classes)

    def identity(self, index: int) -> str:
        return f"{super().identity(index)}:{self.annotations.sha256[:12]}"

    def instances(self, index: int, masks: bool = True) -> Instances:
        """All objects of some size, crowds too. Boxes without area, of which COCO has a few, are left out."""
        found, start, stop = self.annotations, *self.annotations.first[index : index + 2]
        width, height = found.sizes[index].tolist()
        boxes = clipped(found.boxes[start:stop].astype(np.float64), width, height, self.path(index))
        rows = start + np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(1))
        return Instances(
            boxes[rows - start].astype(np.float32),
            found.labels[rows],
            self._masks(rows, width, height, self.path(index)) if masks else None,
            crowd=found.crowd[rows],
            areas=found.areas[rows],
        )

    def present(self) -> np.ndarray:
        return self._present

    @cached_property
    def _present(self) -> np.ndarray:
        found = np.zeros((len(self), len(self.classes)), dtype=np.int8)
        image = np.repeat(np.arange(len(self)), np.diff(self.annotations.first))
        found[image, self.annotations.labels] = 1
        return found

    def _masks(self, rows: np.ndarray, width: int, height: int, where: str) -> np.ndarray:
        found = self.annotations
        masks = np.zeros((len(rows), height, width), dtype=bool)
        for place, row in enumerate(rows):
            outline = json.loads(found.outlines[found.outline[row] : found.outline[row + 1]])
            masks[place] = drawn(outline, width, height, where)
        return masks


def coco(root: Path, card: DatasetCard) -> Dataset:
    """``options``: ``folder`` below the data root."""
    for place in (root / card.options["folder"], root):
        if (place / "annotations").is_dir():
            train, test = (
                CocoSplit(place, name, read(place / "annotations" / f"instances_{name}.json"))
                for name in ("train2017", "val2017")
            )
            return Dataset(card.name, train, test, metric=card.metric)
    raise DataError(
        f"There is no data set {card.name} in {root.absolute()}.",
        f"Expected: {card.options['folder']}/{{annotations/instances_{{train,val}}2017.json,train2017/*.jpg,val2017/*.jpg}} "
        "under the data root (--data-root or SSL_BENCH_DATA).",
    )


def read(path: Path) -> Annotations:
    """A file in COCO's format; :class:`DataError` that names what is wrong in it."""
    if not path.is_file():
        raise DataError(f"There is no annotation file {path}.", "It is in annotations_trainval2017.zip of COCO.")
    content = path.read_bytes()
    try:
        whole = json.loads(content)
        return _compact(whole, hashlib.sha256(content).hexdigest(), path)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is no JSON file: {error}.", "Unpack the archive again.") from None
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: is not in COCO's format ({type(error).__name__}: {error}).",
            "It needs images, annotations and categories.",
        ) from None


def drawn(outline: Any, width: int, height: int, where: str) -> np.ndarray:
    """(height, width) bool of a ``segmentation``: polygons, or run lengths (a list, or COCO's string)."""
    from faster_coco_eval.core import mask as coco_mask

    try:
        if isinstance(outline, dict):
            _check_runs(outline, width, height)
        else:
            # As detectron2: fewer than three corners are no polygon.
            outline = [part for part in outline if len(part) >= 6 and len(part) % 2 == 0]
        if not outline:
            return np.zeros((height, width), dtype=bool)
        found: np.ndarray = coco_mask.decode(coco_mask.segmToRle(outline, width, height)).astype(bool)
        return found
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise DataError(
            f"{where}: the outline of an object cannot be drawn in {width} x {height} pixels: {error}.",
            "Outlines are polygons, or run lengths of the image's size.",
        ) from None


def _check_runs(outline: dict[str, Any], width: int, height: int) -> None:
    if list(outline["size"]) != [height, width]:
        raise ValueError(f"it is a mask of {outline['size'][1]} x {outline['size'][0]} pixels")
    if isinstance(outline["counts"], list) and sum(outline["counts"]) != width * height:
        raise ValueError(f"its runs have {sum(outline['counts'])} pixels")


def _compact(whole: dict[str, Any], sha256: str, path: Path) -> Annotations:
    images, categories = whole["images"], sorted(whole["categories"], key=lambda item: int(item["id"]))
    place = {int(image["id"]): position for position, image in enumerate(images)}
    label = {int(item["id"]): position for position, item in enumerate(categories)}
    for item in whole["annotations"]:
        if int(item["image_id"]) not in place:
            raise DataError(f"{path}: annotation {item['id']} is of image {item['image_id']}, which is not listed.")
        if int(item["category_id"]) not in label:
            raise DataError(
                f"{path}: annotation {item['id']} has category {item['category_id']}, and there are {sorted(label)}.",
                "Category ids are those of `categories` in the same file.",
            )
    objects = sorted(whole["annotations"], key=lambda item: place[int(item["image_id"])])
    owners = np.array([place[int(item["image_id"])] for item in objects], dtype=np.int64)
    sizes = np.array([[int(image["width"]), int(image["height"])] for image in images], dtype=np.int64).reshape(-1, 2)
    boxes = np.array([item["bbox"] for item in objects], dtype=np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    for row in np.flatnonzero(outside(boxes, np.tile(sizes[owners], 2)))[:1]:
        name = f"{path}: annotation {objects[row]['id']}, image {objects[row]['image_id']}"
        width, height = sizes[owners[row]].tolist()
        clipped(boxes[row : row + 1], width, height, name)
    outlines = [json.dumps(item.get("segmentation") or []).encode() for item in objects]
    return Annotations(
        files=[str(image["file_name"]) for image in images],
        sizes=sizes,
        first=np.searchsorted(owners, np.arange(len(images) + 1)),
        boxes=boxes.astype(np.float32),
        labels=np.array([label[int(item["category_id"])] for item in objects], dtype=np.int64),
        areas=np.array([float(item["area"]) for item in objects], dtype=np.float32),
        crowd=np.array([bool(item.get("iscrowd", 0)) for item in objects], dtype=bool),
        outline=np.cumsum([0, *map(len, outlines)]),
        outlines=b"".join(outlines),
        classes=tuple(str(item["name"]) for item in categories),
        sha256=sha256,
    )
