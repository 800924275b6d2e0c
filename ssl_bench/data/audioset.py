"""AudioSet (Gemmeke et al. 2017), as its lists name the recordings; what is not on disk is left out.

``audioset/class_labels_indices.csv``, ``audioset/{balanced_train,unbalanced_train,eval}_segments.csv`` and
``audioset/{balanced_train,unbalanced_train,eval}/<id>.{wav,flac,...}``; the id may have a ``Y`` before it.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from ssl_bench.cards import DatasetCard
from ssl_bench.data.audio_files import AudioFiles
from ssl_bench.data.audio_sets import rows_of
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.recordings import Tags
from ssl_bench.data.segmentation_sets import found
from ssl_bench.errors import DataError

LAYOUT = "audioset/class_labels_indices.csv, audioset/<part>_segments.csv and audioset/<part>/<id>.{wav,flac}"
ENDINGS = (".wav", ".flac", ".ogg", ".mp3", ".m4a")


def audioset(root: Path, card: DatasetCard) -> Dataset:
    """``options``: ``train``, the parts that are trained on. The test is ``eval``."""
    folder = found(root, card, ("audioset", "AudioSet"), LAYOUT)
    rows = rows_of(folder / "class_labels_indices.csv", ("index", "mid", "display_name"))
    number = {row["mid"]: position for position, row in enumerate(rows)}
    classes = tuple(row["display_name"] for row in rows)
    train, test = (_split(folder, parts, number, classes) for parts in (card.options["train"], ["eval"]))
    return Dataset(card.name, train, test, metric=card.metric)


def _split(folder: Path, parts: Sequence[str], number: dict[str, int], classes: tuple[str, ...]) -> AudioFiles:
    paths: list[str] = []
    tags: list[list[int]] = []
    for part in parts:
        files = _files(folder / part)
        for recording, labels in _segments(folder / f"{part}_segments.csv", number):
            name = files.get(recording)
            if name is not None:
                paths.append(f"{part}/{name}")
                tags.append(labels)
    if not paths:
        raise DataError(f"{folder}: none of the recordings of {', '.join(parts)} is there.", f"Expected: {LAYOUT}.")
    return AudioFiles(folder, paths, [0] * len(paths), classes, tags=Tags.of(tags, len(classes)))


def _files(folder: Path) -> dict[str, str]:
    """Id -> file name, of all recordings in a folder."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder.absolute()}.", f"Expected: {LAYOUT}.")
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.name.lower().endswith(ENDINGS))
    found = {name.rpartition(".")[0]: name for name in names}
    return {**{stem[1:]: name for stem, name in found.items() if stem.startswith("Y")}, **found}


def _segments(path: Path, number: dict[str, int]) -> list[tuple[str, list[int]]]:
    """(id, classes) of each line ``id, start, end, "label,label"``; lines with # are comments."""
    if not path.is_file():
        raise DataError(f"There is no file {path.absolute()}.", f"Expected: {LAYOUT}.")
    segments = []
    with path.open(newline="", encoding="utf-8") as file:
        for line, fields in enumerate(csv.reader(file, skipinitialspace=True), start=1):
            if not fields or fields[0].startswith("#"):
                continue
            labels = fields[3].split(",") if len(fields) == 4 else []
            unknown = [label for label in labels if label not in number]
            if not labels or unknown:
                what = f"label {unknown[0]!r} is not in class_labels_indices.csv" if unknown else "it has no labels"
                raise DataError(f"{path}:{line}: {what}.", 'Expected: id, start, end, "label,label".')
            segments.append((fields[0], sorted({number[label] for label in labels})))
    return segments
