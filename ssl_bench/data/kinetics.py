"""Kinetics and other sets of one class a video, as class folders or as lists.

``<folder>/{train,val}/<class>/*.mp4``, or the lists ``<folder>/{train,val,test}.csv`` of facebookresearch/mae_st and
facebookresearch/SlowFast with one ``path label`` a line, paths absolute or relative to the folder of the list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ssl_bench.cards import DatasetCard
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.imagefolder import class_folders, required
from ssl_bench.data.video_files import EXTENSIONS, VideoFiles
from ssl_bench.errors import DataError

_LINE = re.compile(r"(?P<path>.+?)[\s,]+(?P<label>\d+)")


def kinetics(root: Path, card: DatasetCard) -> Dataset:
    """``options``: ``folder``. The test videos are those of ``val``: the labels of Kinetics' own test split were not used in
    the papers. The card's ``classes`` is how many a list may name."""
    name = str(card.options["folder"])
    layout = f"{name}/{{train,val}}/<class>/*.mp4, or {name}/{{train,val}}.csv with one `path label` a line,"
    folder = required(root / name, root, layout)
    if (folder / "train.csv").is_file():
        train, test = (_listed(folder, part, card) for part in ("train", "val"))
    else:
        train = _scanned(required(folder / "train", root, layout))
        test = _scanned(required(folder / "val", root, layout), train.classes)
    return Dataset(card.name, train, test, metric=card.metric)


def _scanned(folder: Path, classes: Sequence[str] | None = None) -> VideoFiles:
    """``<folder>/<class>/*``, sorted by class and name; class numbers are those of the sorted training folders."""
    found = class_folders(folder)
    if not found:
        raise DataError(f"{folder}: there are no class folders in it.", "Expected: one folder a class, videos in it.")
    classes = found if classes is None else classes
    if unknown := sorted(set(found) - set(classes)):
        raise DataError(
            f"{folder}: {len(unknown)} class folders are not in the training split: {', '.join(unknown[:5])}.",
            "Class folders must have the same names in all splits.",
        )
    number = {name: position for position, name in enumerate(classes)}
    files = {name: _videos(folder / name) for name in found}
    paths = [f"{folder.name}/{name}/{file}" for name in found for file in files[name]]
    labels = [number[name] for name in found for _ in files[name]]
    if not paths:
        raise DataError(f"{folder}: its class folders hold no videos.", f"Known: {' '.join(EXTENSIONS)}")
    return VideoFiles(folder.parent, paths, labels, classes)


def _videos(folder: Path) -> list[str]:
    names = (path.name for path in folder.iterdir())
    return sorted(name for name in names if name.lower().endswith(EXTENSIONS) and not name.startswith("."))


def _listed(folder: Path, part: str, card: DatasetCard) -> VideoFiles:
    """The class names of a list are its numbers: it has no others."""
    path = folder / f"{part}.csv"
    if not path.is_file():
        raise DataError(f"There is no file {path.absolute()}.", f"{folder / 'train.csv'} is there: both are needed.")
    classes = card.classes or 1
    paths: list[str] = []
    labels: list[int] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        entry = _LINE.fullmatch(line.strip())
        if not entry or int(entry["label"]) >= classes:
            raise DataError(
                f"{path}:{number}: {line!r} is no path with a class number from 0 to {classes - 1}.",
                "Expected: one `path label` a line.",
            )
        paths.append(entry["path"])
        labels.append(int(entry["label"]))
    if not paths:
        raise DataError(f"{path}: the list is empty.", "Expected: one `path label` a line.")
    return VideoFiles(folder, paths, labels, tuple(f"class {c}" for c in range(classes)))
