"""Data sets of recordings, in the layouts that people have on disk; nothing is downloaded.

``esc50``: ESC-50-master/{meta/esc50.csv,audio/*.wav};   ``esc10``: <folder>/{labels.csv,audio/*};
``fsdd``: <folder>/recordings/<digit>_<speaker>_<number>.wav (number below 5: test)
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ssl_bench.cards import DatasetCard
from ssl_bench.data.audio_files import AudioFiles
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.segmentation_sets import found
from ssl_bench.errors import DataError

Row = Mapping[str, str]
FSDD_TEST = 5


def esc50(root: Path, card: DatasetCard) -> Dataset:
    """2,000 recordings of five seconds in the five official folds; train and test are all of them (see ``AudioSplit``)."""
    folder = found(
        root, card, ("ESC-50-master", "ESC-50", "esc50"), "ESC-50-master/{meta/esc50.csv,audio/*.wav}", "meta"
    )
    rows = rows_of(folder / "meta" / "esc50.csv", ("filename", "fold", "target", "category"))
    return _folded(card, folder, rows, lambda row: f"audio/{row['filename']}", "target", "category")


def esc10(root: Path, card: DatasetCard) -> Dataset:
    """``options``: ``folder`` with ``labels.csv`` (file, fold, class_index, class_name)."""
    name = str(card.options["folder"])
    folder = found(root, card, (name,), f"{name}/{{labels.csv,audio/*.ogg}}")
    rows = rows_of(folder / "labels.csv", ("file", "fold", "class_index", "class_name"))
    return _folded(card, folder, rows, lambda row: row["file"], "class_index", "class_name")


def _folded(
    card: DatasetCard, folder: Path, rows: list[Row], path: Callable[[Row], str], label: str, name: str
) -> Dataset:
    """The recordings in an order that takes one of each fold in turn, so that ``--limit`` keeps all folds."""
    names = {int(row[label]): row[name] for row in rows}
    if sorted(names) != list(range(len(names))):
        raise DataError(f"{folder}: the classes {sorted(names)[:5]} ... are not numbered from 0 without gaps.")
    counts: dict[tuple[str, str], int] = {}
    places = []
    for row in rows:
        key = row[label], row["fold"]
        counts[key] = counts.get(key, -1) + 1
        places.append((counts[key], int(row["fold"]), int(row[label])))
    order = sorted(range(len(rows)), key=lambda i: places[i])
    rows = [rows[i] for i in order]
    folds = np.array([int(row["fold"]) for row in rows])
    labels = [int(row[label]) for row in rows]
    paths = [path(row) for row in rows]
    both = [
        AudioFiles(folder, paths, labels, tuple(names[c] for c in range(len(names))), folds=folds) for _ in range(2)
    ]
    return Dataset(card.name, both[0], both[1], metric=card.metric)


def fsdd(root: Path, card: DatasetCard) -> Dataset:
    """Spoken digits (Free Spoken Digit Dataset): recordings 0 to 4 of each speaker and digit are the official test."""
    name = str(card.options["folder"])
    folder = found(root, card, (name,), f"{name}/recordings/<digit>_<speaker>_<number>.wav", "recordings")
    paths = sorted((folder / "recordings").glob("*.wav"))
    parts: dict[bool, list[tuple[str, int]]] = {True: [], False: []}
    for path in paths:
        fields = path.stem.split("_")
        if len(fields) != 3 or not fields[0].isdigit() or not fields[2].isdigit() or int(fields[0]) > 9:
            raise DataError(f"{path}: the name is not <digit>_<speaker>_<number>.wav.", "Rename or remove the file.")
        parts[int(fields[2]) < FSDD_TEST].append((f"recordings/{path.name}", int(fields[0])))
    if not all(parts.values()):
        raise DataError(f"{folder / 'recordings'}: it needs recordings with numbers below {FSDD_TEST} and others.")
    classes = tuple(str(digit) for digit in range(10))
    train, test = (
        AudioFiles(folder, [path for path, _ in parts[held]], [digit for _, digit in parts[held]], classes)
        for held in (False, True)
    )
    return Dataset(card.name, train, test, metric=card.metric)


def rows_of(path: Path, columns: tuple[str, ...]) -> list[Row]:
    """The rows of a list with a header, or :class:`DataError` that says which line has what wrong. ``fold`` and class
    numbers are checked to be numbers."""
    if not path.is_file():
        raise DataError(
            f"There is no file {path.absolute()}.", f"Expected: a list with the columns {', '.join(columns)}."
        )
    with path.open(newline="", encoding="utf-8") as file:
        rows: list[Row] = list(csv.DictReader(file))
    for number, row in enumerate(rows, start=2):
        missing = [column for column in columns if not row.get(column)]
        words = [c for c in ("fold", "target", "class_index") if c in columns and not str(row.get(c)).isdigit()]
        if missing or words:
            raise DataError(
                f"{path}:{number}: " + (f"no {', '.join(missing)}." if missing else f"{words[0]} is no number."),
                f"Expected: the columns {', '.join(columns)}.",
            )
    if not rows:
        raise DataError(f"{path}: the list is empty.", f"Expected: the columns {', '.join(columns)}.")
    return rows
