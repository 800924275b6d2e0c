"""ImageNet-1k: ``imagenet/{train,val}/<wnid>/*.JPEG``, or a flat ``val`` with the development kit; any subset of it."""

from __future__ import annotations

import re
from pathlib import Path

from scipy.io import loadmat

from ssl_bench.cards import DatasetCard
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.imagefolder import class_folders, image_files, required, scan
from ssl_bench.data.splits import FileSplit
from ssl_bench.errors import DataError

LAYOUT = "imagenet/{train,val}/<wnid>/*.JPEG"
DEVKIT = "ILSVRC2012_devkit_t12"
_NUMBER = re.compile(r"ILSVRC2012_val_(\d{8})\.", re.IGNORECASE)


def imagenet(root: Path, card: DatasetCard) -> Dataset:
    """Class index = position of the WordNet id among the sorted ids of ``train``; test = the official validation set.

    The development kit's own numbers (ILSVRC2012_ID) are in another order and are used only to find a WordNet id.
    """
    folder = root / card.options.get("folder", "imagenet")
    train = scan(required(folder / "train", root, LAYOUT))
    val = required(folder / "val", root, LAYOUT)
    flat = image_files(val)
    if flat and class_folders(val):
        raise DataError(
            f"{val}: {len(flat)} images lie beside class folders, so the sorting was interrupted.",
            "`ssl-bench data prepare imagenet` finishes it.",
        )
    test = flat_val(val, flat, train.classes) if flat else scan(val, train.classes)
    return Dataset(card.name, train, test, metric=card.metric)


def flat_val(val: Path, files: list[str], classes: tuple[str, ...]) -> FileSplit:
    """The validation images as the official archive unpacks them, labelled by the development kit."""
    truth = ground_truth(find_devkit(val.parent))
    position = {wnid: index for index, wnid in enumerate(classes)}
    labels = []
    for file in files:
        wnid = wnid_of(val / file, truth)
        if wnid not in position:
            raise DataError(f"{val / file}: its class {wnid} is not in the training split.")
        labels.append(position[wnid])
    return FileSplit(val.parent, [f"{val.name}/{file}" for file in files], labels, classes)


def wnid_of(file: Path, truth: list[str]) -> str:
    """WordNet id of ``ILSVRC2012_val_<8 digits>.JPEG``."""
    match = _NUMBER.match(file.name)
    number = int(match.group(1)) if match else 0
    if not 1 <= number <= len(truth):
        raise DataError(
            f"{file}: the ground truth has {len(truth)} lines, and this is no name of one of them.",
            f"Expected ILSVRC2012_val_00000001.JPEG to ILSVRC2012_val_{len(truth):08d}.JPEG.",
        )
    return truth[number - 1]


def find_devkit(folder: Path) -> Path:
    """The development kit beside ``train`` and ``val``, or one level higher."""
    for place in (folder / DEVKIT / "data", folder.parent / DEVKIT / "data"):
        if (place / "meta.mat").is_file():
            return place
    raise DataError(
        f"{folder / 'val'} is flat, and there is no development kit to label it.",
        f"Expected {folder / DEVKIT / 'data'} with meta.mat and ILSVRC2012_validation_ground_truth.txt, "
        f"or one folder a class in val.",
    )


def ground_truth(devkit: Path) -> list[str]:
    """WordNet id of each validation image, in the order of their numbers."""
    lines = _read(devkit / "ILSVRC2012_validation_ground_truth.txt").split()
    try:
        synsets = loadmat(devkit / "meta.mat", squeeze_me=True)["synsets"]
        wnids = {int(synset["ILSVRC2012_ID"]): str(synset["WNID"]) for synset in synsets}
    except (ValueError, KeyError, OSError, TypeError) as error:
        raise DataError(f"{devkit / 'meta.mat'}: is not the development kit's table of classes: {error}.") from error
    try:
        return [wnids[int(line)] for line in lines]
    except (ValueError, KeyError) as error:
        raise DataError(f"{devkit}: the ground truth names a class that meta.mat does not have: {error}.") from error


def _read(path: Path) -> str:
    if not path.is_file():
        raise DataError(f"There is no file {path}.", "It is part of the ILSVRC 2012 development kit.")
    return path.read_text()
