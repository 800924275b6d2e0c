"""``imagefolder:<name>``: any ``<data root>/<name>/{train,val|test}/<class>/*``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ssl_bench.cards import DatasetCard
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.splits import FileSplit
from ssl_bench.errors import DataError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")


def imagefolder(root: Path, card: DatasetCard) -> Dataset:
    """Classes are the sorted folder names. ``test`` is the test folder; with none, ``val`` is."""
    folder = root / card.options["folder"]
    layout = f"{card.options['folder']}/{{train,val|test}}/<class>/*"
    train = scan(required(folder / "train", root, layout))
    held = {name: folder / name for name in ("val", "test") if (folder / name).is_dir()}
    if not held:
        required(folder / "test", root, layout)
    splits = {name: scan(path, train.classes) for name, path in held.items()}
    if "test" not in splits:
        splits = {"test": splits["val"]}
    return Dataset(card.name, train, splits["test"], splits.get("val"), card.metric)


def required(folder: Path, root: Path, layout: str) -> Path:
    """``folder``, or a :class:`DataError` that says where we looked and what is expected."""
    if not folder.is_dir():
        raise DataError(
            f"There is no folder {folder.absolute()}.",
            f"Expected: {layout} under the data root {root.absolute()} (--data-root or SSL_BENCH_DATA).",
        )
    return folder


def scan(folder: Path, classes: Sequence[str] | None = None) -> FileSplit:
    """The images of ``folder/<class>/*``, sorted by class and file name. ``classes``: the training classes, in order."""
    found = class_folders(folder)
    if not found:
        raise DataError(f"{folder}: there are no class folders in it.", "Expected: one folder a class, images in it.")
    classes = found if classes is None else classes
    unknown = sorted(set(found) - set(classes))
    if unknown:
        raise DataError(
            f"{folder}: {len(unknown)} class folders are not in the training split: {', '.join(unknown[:5])}.",
            "Class folders must have the same names in all splits.",
        )
    position = {name: index for index, name in enumerate(classes)}
    paths: list[str] = []
    labels: list[int] = []
    for name in found:
        files = image_files(folder / name)
        if not files:
            raise DataError(f"{folder / name}: the class folder holds no image.", f"Known: {' '.join(EXTENSIONS)}")
        paths += [f"{folder.name}/{name}/{file}" for file in files]
        labels += [position[name]] * len(files)
    return FileSplit(folder.parent, paths, labels, classes)


def class_folders(folder: Path) -> list[str]:
    """Names of the folders in ``folder``, sorted, hidden ones left out."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def image_files(folder: Path) -> list[str]:
    """Names of the image files in ``folder``, sorted. A name ending is enough: a million files are not asked one by one."""
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.name.lower().endswith(EXTENSIONS) and not e.name.startswith("."))
