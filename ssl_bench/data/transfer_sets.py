"""Data sets of the transfer suite with the papers' splits, which torchvision does not have: Birdsnap, SUN397, Caltech-101.

torchvision's SUN397 and Caltech101 have no split at all (training images would be in the test).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ssl_bench.cards import DatasetCard
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.imagefolder import class_folders, image_files
from ssl_bench.data.splits import FileSplit
from ssl_bench.data.subsets import per_class
from ssl_bench.errors import DataError, SettingsError

UNDER = "under the data root (--data-root or SSL_BENCH_DATA)"
BIRDSNAP = (
    "birdsnap/{images.txt,species.txt,test_images.txt,download/images/<species>/*.jpg}, as get_birdsnap.py leaves it"
)
SUN397 = (
    "SUN397/{<letter>/<scene>/*.jpg,ClassName.txt,Training_01.txt,Testing_01.txt}; the lists may lie in Partitions/"
)
CALTECH101 = "caltech101/101_ObjectCategories/<class>/*.jpg"


def birdsnap(root: Path, card: DatasetCard) -> Dataset:
    """The 2,443 listed test images, all others train. Many of the images have vanished from their addresses since: those
    that are not on the disk are left out, and the results are then marked partial."""
    folder = _folder(root, card, ("birdsnap",), "images.txt", BIRDSNAP)
    species = _table(folder / "species.txt", ("id", "common"))
    position = {row["id"]: index for index, row in enumerate(species)}
    test = {row["path"] for row in _table(folder / "test_images.txt", ("path",))}
    pictures = next((p for p in (folder / "download" / "images", folder / "images") if p.is_dir()), None)
    if pictures is None:
        raise DataError(f"There is no folder {folder / 'download' / 'images'}.", f"Expected: {BIRDSNAP}.")
    there = {f"{name}/{file}" for name in class_folders(pictures) for file in image_files(pictures / name)}
    listed: dict[bool, list[tuple[str, int]]] = {True: [], False: []}
    for row in _table(folder / "images.txt", ("path", "species_id")):
        if row["species_id"] not in position:
            raise DataError(
                f"{folder / 'images.txt'}: {row['path']} has species {row['species_id']}, which is not listed."
            )
        if row["path"] in there:
            listed[row["path"] in test].append((row["path"], position[row["species_id"]]))
    names = [row["common"] for row in species]
    train_split, test_split = (_split(pictures, listed[part], names) for part in (False, True))
    return Dataset(card.name, train_split, test_split, metric=card.metric)


def sun397(root: Path, card: DatasetCard) -> Dataset:
    """The first of the ten official partitions: 50 training and 50 test images of each class."""
    folder = _folder(root, card, ("SUN397",), "", SUN397)
    lists = {}
    for name in ("ClassName.txt", "Training_01.txt", "Testing_01.txt"):
        places = [place / name for place in (folder, folder / "Partitions", root / "Partitions")]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise DataError(f"There is no file {places[0]}.", f"Expected: {SUN397}. The lists are in Partitions.zip.")
        lists[name] = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    position = {name: index for index, name in enumerate(lists["ClassName.txt"])}
    splits = []
    for name in ("Training_01.txt", "Testing_01.txt"):
        unknown = [line for line in lists[name] if line.rpartition("/")[0] not in position]
        if unknown:
            raise DataError(f"{name}: {unknown[0]} is in no class of ClassName.txt.", f"Expected: {SUN397}.")
        rows = [(line.lstrip("/"), position[line.rpartition("/")[0]]) for line in lists[name]]
        splits.append(_split(folder, rows, [scene.split("/", 2)[2] for scene in position]))
    train, test = splits
    return Dataset(card.name, train, test, metric=card.metric)


def caltech101(root: Path, card: DatasetCard) -> Dataset:
    """``options.train_per_class`` (30) images of each class, drawn with ``options.seed``, train; all others test.

    There is no official split. The counts of the papers (3,060 and 6,084) are those of 102 classes, with the folder
    BACKGROUND_Google, which is one of them here too.
    """
    folder = _folder(root, card, ("caltech101", "caltech-101"), "101_ObjectCategories", CALTECH101)
    folder = folder / "101_ObjectCategories"
    names = class_folders(folder)
    rows = [(f"{name}/{file}", label) for label, name in enumerate(names) for file in image_files(folder / name)]
    if not rows:
        raise DataError(f"{folder}: there are no images in class folders.", f"Expected: {CALTECH101} {UNDER}.")
    labels = np.array([label for _, label in rows])
    try:
        train = per_class(labels, int(card.options["train_per_class"]), int(card.options["seed"]))
    except SettingsError as error:
        raise DataError(f"{folder}: {error.message}", "Unpack the archive again.") from None
    test = np.setdiff1d(np.arange(len(rows)), train)
    train_split, test_split = (_split(folder, [rows[i] for i in part], names) for part in (train, test))
    return Dataset(card.name, train_split, test_split, metric=card.metric)


def _folder(root: Path, card: DatasetCard, names: Iterable[str], inside: str, layout: str) -> Path:
    """The first of the folders ``names``, below the data root or a folder with the data set's name, that has ``inside``."""
    for place in (root, root / card.name):
        for name in names:
            if (place / name).is_dir() and (place / name / inside).exists():
                return place / name
    raise DataError(f"There is no data set {card.name} in {root.absolute()}.", f"Expected: {layout} {UNDER}.")


def _table(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a file of tab-separated values whose first line names the columns."""
    if not path.is_file():
        raise DataError(f"There is no file {path}.", f"Expected: {BIRDSNAP}.")
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise DataError(f"{path}: has no column {missing[0]!r}.", "Unpack the archive again.")
        return [row for row in reader if all(row[name] for name in columns)]


def _split(root: Path, rows: list[tuple[str, int]], classes: Iterable[str]) -> FileSplit:
    """``rows``: path below ``root`` and class."""
    return FileSplit(root, [path for path, _ in rows], [label for _, label in rows], tuple(classes))
