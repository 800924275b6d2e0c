"""Data sets of CLIP's zero-shot suite that are folders of classes: with official splits (Country211, Rendered SST2), or drawn
ones (EuroSAT, RESISC45), and the Birds of Caltech and UCSD, which SLIP takes in place of Birdsnap."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ssl_bench.cards import DatasetCard
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.imagefolder import required, scan
from ssl_bench.data.splits import FileSplit
from ssl_bench.data.subsets import per_class
from ssl_bench.errors import DataError, SettingsError

CUB = "CUB_200_2011/{images/<class>/*.jpg,images.txt,image_class_labels.txt,train_test_split.txt,classes.txt}"


def official_folders(root: Path, card: DatasetCard) -> Dataset:
    """``<options.folder>/{train,valid,test}/<class>/*``; ``valid`` may be called ``val``."""
    name = card.options["folder"]
    layout = f"{name}/{{train,valid,test}}/<class>/*"
    folder = root / name
    train = scan(required(folder / "train", root, layout))
    val = folder / "val" if (folder / "val").is_dir() else required(folder / "valid", root, layout)
    test = scan(required(folder / "test", root, layout), train.classes)
    return Dataset(card.name, train, test, scan(val, train.classes), card.metric)


def drawn_folders(root: Path, card: DatasetCard) -> Dataset:
    """One folder a class and no official split: ``options.train`` images of each class are drawn with ``options.seed`` for
    training, and of the others ``options.test`` for the test, or all. ``options.folders``: where to look."""
    layout = f"{card.options['folders'][0]}/<class>/*"
    folder = next((root / name for name in card.options["folders"] if (root / name).is_dir()), None)
    folder = folder or required(root / card.options["folders"][0], root, layout)
    whole = scan(folder)
    try:
        count, seed = int(card.options["train"]), int(card.options["seed"])
        train = per_class(whole.labels, count, seed)
        test = np.arange(len(whole))
        if "test" in card.options:
            test = per_class(whole.labels, count + int(card.options["test"]), seed)
    except SettingsError as error:
        raise DataError(f"{folder}: {error.message}", "Unpack the archive again.") from None
    return Dataset(card.name, whole.subset(train), whole.subset(np.setdiff1d(test, train)), metric=card.metric)


def cub200(root: Path, card: DatasetCard) -> Dataset:
    """5,994 train and 5,794 test images of 200 species, by the official list; class names without their numbers."""
    folder = required(root / "CUB_200_2011", root, CUB)
    names = _table(folder / "classes.txt")
    paths, labels, training = (
        _table(folder / f"{name}.txt") for name in ("images", "image_class_labels", "train_test_split")
    )
    if not set(paths) == set(labels) == set(training) or not set(labels.values()) <= set(names):
        raise DataError(f"{folder}: its lists do not name the same images and classes.", f"Expected: {CUB}.")
    position = {number: index for index, number in enumerate(names)}
    classes = [name.partition(".")[2].replace("_", " ") for name in names.values()]
    splits = []
    for flag in ("1", "0"):
        rows = [image for image in paths if training[image] == flag]
        files, numbers = [paths[image] for image in rows], [position[labels[image]] for image in rows]
        splits.append(FileSplit(folder / "images", files, numbers, classes))
    train, test = splits
    return Dataset(card.name, train, test, metric=card.metric)


def _table(path: Path) -> dict[str, str]:
    """``number value`` a line."""
    if not path.is_file():
        raise DataError(f"There is no file {path}.", f"Expected: {CUB}.")
    rows = [line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not all(len(row) == 2 for row in rows):
        raise DataError(f"{path}: is no list of a number and a value a line.", "Unpack the archive again.")
    return {number: value.strip() for number, value in rows}
