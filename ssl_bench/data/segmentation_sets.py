"""Data sets with a class for every pixel, in the layouts that people have on disk; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ssl_bench.cards import DatasetCard
from ssl_bench.data.class_names import ADE150, CAMVID, CITYSCAPES
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.imagefolder import EXTENSIONS
from ssl_bench.data.scene_files import SHIFTED, UNCHANGED, LabelFiles, SceneFiles
from ssl_bench.data.scenes import IGNORE
from ssl_bench.data.voc import CLASSES as VOC_OBJECTS
from ssl_bench.data.voc import devkit_of, listed
from ssl_bench.errors import DataError

CAMVID_VOID = 11
CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""File values (``labelIds``) of the 19 evaluated classes, in their order; all others are ignored."""


def voc12(root: Path, card: DatasetCard) -> Dataset:
    """``train`` is train_aug (10,582 images: the list ``trainaug.txt`` or ``train_aug.txt`` and the folder
    ``SegmentationClassAug`` with the maps of Hariharan et al. 2011) where they are, else the official 1,464; ``test`` is val."""
    devkit = devkit_of(root, card)
    year = devkit / "VOC2012"
    lists = [name for name in ("trainaug", "train_aug") if (year / f"ImageSets/Segmentation/{name}.txt").is_file()]
    augmented = bool(lists) and (year / "SegmentationClassAug").is_dir()
    train = _voc_split(devkit, lists[0] if augmented else "train", "SegmentationClass" + "Aug" * augmented)
    return Dataset(card.name, train, _voc_split(devkit, "val", "SegmentationClass"), metric=card.metric)


def _voc_split(devkit: Path, name: str, maps: str) -> SceneFiles:
    images = [image.split("/")[1] for image in listed(devkit, f"VOC2012/{name}", "Segmentation")]
    labels = LabelFiles(tuple(f"VOC2012/{maps}/{image}.png" for image in images))
    return SceneFiles(
        devkit, [f"VOC2012/JPEGImages/{image}.jpg" for image in images], ("background", *VOC_OBJECTS), labels
    )


def ade20k(root: Path, card: DatasetCard) -> Dataset:
    """20,210 training and 2,000 validation images; file value 0 is ignored and 1 to 150 become 0 to 149."""
    folder = found(
        root, card, ("ADEChallengeData2016",), "ADEChallengeData2016/{images,annotations}/{training,validation}"
    )
    train, test = (
        paired(folder, f"images/{part}", f"annotations/{part}", ADE150, SHIFTED) for part in ("training", "validation")
    )
    return Dataset(card.name, train, test, metric=card.metric)


def camvid(root: Path, card: DatasetCard) -> Dataset:
    """SegNet's 367, 101 and 233 images with 11 classes; 11 is void. ``{train,val,test}/{images,labels}``, or the original's
    ``{train,val,test}`` with ``{train,val,test}annot``."""
    folder = found(
        root, card, ("camvid", "CamVid"), "camvid/{train,val,test}/{images,labels}, or SegNet's CamVid folder"
    )
    classes = (*range(CAMVID_VOID), IGNORE, *range(CAMVID_VOID + 1, 256))
    plain = (folder / "trainannot").is_dir()
    parts = {
        part: paired(folder, part if plain else f"{part}/images", f"{part}annot" if plain else f"{part}/labels", CAMVID, classes)
        for part in ("train", "val", "test")
    }  # fmt: skip
    return Dataset(card.name, parts["train"], parts["test"], parts["val"], metric=card.metric)


def cityscapes(root: Path, card: DatasetCard) -> Dataset:
    """2,975 training and 500 validation images of the fine annotation, in torchvision's layout."""
    layout = "cityscapes/{leftImg8bit,gtFine}/{train,val}/<city>"
    folder = found(root, card, ("cityscapes", "Cityscapes", "."), layout, "leftImg8bit")
    classes = tuple(CITYSCAPES_IDS.index(value) if value in CITYSCAPES_IDS else IGNORE for value in range(256))
    ends = ("_leftImg8bit.png", "_gtFine_labelIds.png")
    train, test = (
        paired(folder, f"leftImg8bit/{part}", f"gtFine/{part}", CITYSCAPES, classes, ends) for part in ("train", "val")
    )
    return Dataset(card.name, train, test, metric=card.metric)


def found(root: Path, card: DatasetCard, names: Sequence[str], layout: str, holds: str = "") -> Path:
    """The first of the folders ``names`` below the data root (which ``holds`` a folder of that name)."""
    for name in names:
        if (root / name / holds).is_dir():
            return root / name
    raise DataError(
        f"There is no data set {card.name} in {root.absolute()}.",
        f"Expected: {layout} under the data root (--data-root or SSL_BENCH_DATA).",
    )


def paired(
    folder: Path,
    images: str,
    maps: str,
    names: Sequence[str],
    classes: tuple[int, ...] = UNCHANGED,
    ends: tuple[str, str] | None = None,
) -> SceneFiles:
    """All images below ``folder / images``, each with the map of the same name and folder below ``folder / maps``: a PNG, or
    the file whose name ends in ``ends[1]`` in place of ``ends[0]``. An image without a map is an error that names it."""
    paths = image_paths(folder, images, ends[0] if ends else "")
    found = tuple(target_path(folder, path, images, maps, ends) for path in paths)
    return SceneFiles(folder, paths, names, LabelFiles(found, classes))


def image_paths(folder: Path, images: str, end: str = "") -> list[str]:
    """Image files below ``folder / images`` whose names end in ``end``, sorted, relative to ``folder``."""
    place = folder / images
    if not place.is_dir():
        raise DataError(f"There is no folder {place}.", "Unpack the archive again.")
    paths = sorted(
        path.relative_to(folder).as_posix()
        for path in place.rglob("*")
        if path.suffix.lower() in EXTENSIONS and path.name.endswith(end) and not path.name.startswith(".")
    )
    if not paths:
        raise DataError(
            f"There is no image in {place}{f' with a name *{end}' if end else ''}.", "Unpack the archive again."
        )
    return paths


def target_path(folder: Path, image: str, images: str, maps: str, ends: tuple[str, str] | None = None) -> str:
    """Where the map of an image must be, relative to ``folder``."""
    rest = image.removeprefix(images)
    name = rest.removesuffix(ends[0]) + ends[1] if ends else f"{rest.rpartition('.')[0]}.png"
    path = f"{maps}{name}"
    if not (folder / path).is_file():
        raise DataError(
            f"There is no target {folder / path} for the image {image}.",
            "Unpack the archive again: every image has one.",
        )
    return path
