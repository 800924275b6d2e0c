"""Data sets of CLIP's zero-shot suite whose labels stand in tables: FER2013, CLEVR, Hateful Memes, KITTI, UCF101."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ssl_bench.cards import DatasetCard
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.imagefolder import required
from ssl_bench.data.splits import ArraySplit, FileSplit
from ssl_bench.data.video_files import VideoFiles
from ssl_bench.errors import DataError

UNDER = "under the data root (--data-root or SSL_BENCH_DATA)"
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
DISTANCES = ("vehicle within 8 m", "vehicle within 20 m", "vehicle further away", "no vehicle")
VEHICLES = ("Car", "Van", "Truck")


def fer2013(root: Path, card: DatasetCard) -> Dataset:
    """28,709 training images of 48 x 48 and 7,178 of the public and the private test together, as torchvision has them.
    (Kaggle's own ``test.csv`` has no labels.)"""
    layout = "fer2013/fer2013.csv or fer2013/icml_face_data.csv"
    places = [root / "fer2013" / name for name in ("fer2013.csv", "icml_face_data.csv")]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise DataError(f"There is no file {places[0].absolute()}.", f"Expected: {layout} {UNDER}.")
    pixels: dict[bool, list[np.ndarray]] = {True: [], False: []}
    labels: dict[bool, list[int]] = {True: [], False: []}
    with path.open(newline="", encoding="utf-8") as file:
        for line, row in enumerate(csv.DictReader(file, skipinitialspace=True), start=2):
            found = {(name or "").strip(): value for name, value in row.items()}
            try:
                face = np.array(found["pixels"].split(), dtype=np.uint8).reshape(48, 48)
                training, label = found["Usage"] == "Training", int(found["emotion"])
                EMOTIONS[label]
            except (KeyError, ValueError, IndexError, AttributeError, OverflowError) as error:
                raise DataError(f"{path}:{line}: is no row of emotion, usage and 48 x 48 pixels: {error}.") from None
            pixels[training].append(face)
            labels[training].append(label)
    if not labels[True] or not labels[False]:
        raise DataError(f"{path}: has no {'test' if labels[True] else 'training'} rows.", f"Expected: {layout}.")
    splits = [
        ArraySplit(np.repeat(np.stack(pixels[part])[..., None], 3, axis=3), np.array(labels[part]), EMOTIONS)
        for part in (True, False)
    ]
    train, test = splits
    return Dataset(card.name, train, test, metric=card.metric)


def clevr_counts(root: Path, card: DatasetCard) -> Dataset:
    """How many objects there are: 3 to 10. All 70,000 training images, and the 15,000 of ``val`` as test (CLIP took a
    small part of them, and does not say which)."""
    layout = "clevr/CLEVR_v1.0/{images/{train,val}/*.png,scenes/CLEVR_{train,val}_scenes.json}"
    places = [root / "clevr" / "CLEVR_v1.0", root / "CLEVR_v1.0"]
    folder = next((place for place in places if place.is_dir()), None) or required(places[0], root, layout)
    splits = []
    for part in ("train", "val"):
        path = folder / "scenes" / f"CLEVR_{part}_scenes.json"
        scenes = _json(path, layout)
        try:
            rows = sorted((f"images/{part}/{one['image_filename']}", len(one["objects"])) for one in scenes["scenes"])
        except (KeyError, TypeError) as error:
            raise DataError(f"{path}: is no list of scenes with their objects: {error!r}.") from None
        if not all(3 <= count <= 10 for _, count in rows):
            raise DataError(f"{path}: a scene has fewer than 3 or more than 10 objects.")
        splits.append(_split(folder, [(name, count - 3) for name, count in rows], map(str, range(3, 11))))
    train, test = splits
    return Dataset(card.name, train, test, metric=card.metric)


def hateful_memes(root: Path, card: DatasetCard) -> Dataset:
    """8,500 training images and the 500 of ``dev`` (later called ``dev_seen``): the test's labels were not published."""
    layout = "hateful_memes/{img/*.png,train.jsonl,dev.jsonl or dev_seen.jsonl}"
    folder = required(root / "hateful_memes", root, layout)
    dev = folder / "dev.jsonl" if (folder / "dev.jsonl").is_file() else folder / "dev_seen.jsonl"
    splits = []
    for path in (folder / "train.jsonl", dev):
        rows = []
        for line, text in enumerate(_text(path, layout).splitlines(), start=1):
            if not text.strip():
                continue
            try:
                row = json.loads(text)
                rows.append((str(row["img"]), ("0", "1").index(str(row["label"]))))
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{path}:{line}: is no row with an image and a label 0 or 1: {error!r}.") from None
        splits.append(_split(folder, rows, ("not hateful", "hateful")))
    train, test = splits
    return Dataset(card.name, train, test, metric=card.metric)


def kitti_distance(root: Path, card: DatasetCard) -> Dataset:
    """How far the nearest vehicle is (VTAB): z of the nearest car, van or truck up to 8 m, up to 20 m, further, or none.

    ``options.test`` (711) of the 7,481 labelled images are drawn with ``options.seed``. (VTAB's 711 are whole drives, by a
    list of TensorFlow Datasets; ours may share drives with training images, which zero-shot evaluation does not look at.)
    """
    layout = "Kitti/raw/training/{image_2/*.png,label_2/*.txt}"
    places = [root / "Kitti" / "raw" / "training", root / "kitti" / "training"]
    folder = next((place for place in places if place.is_dir()), None) or required(places[0], root, layout)
    files = sorted(required(folder / "label_2", root, layout).glob("*.txt"))
    rows = [(f"image_2/{path.stem}.png", _distance(path)) for path in files]
    count = int(card.options["test"])
    if len(rows) <= count:
        raise DataError(f"{folder}: there are {len(rows)} labelled images, and {count} are for the test.")
    order = np.random.RandomState(int(card.options["seed"])).permutation(len(rows))
    whole = _split(folder, rows, DISTANCES)
    test, train = np.sort(order[:count]), np.sort(order[count:])
    return Dataset(card.name, whole.subset(train), whole.subset(test), metric=card.metric)


def _distance(path: Path) -> int:
    """The class of one label file: type first, z (metres in front of the camera) in column 14 of each line."""
    try:
        rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
        nearest = min((float(row[13]) for row in rows if row[0] in VEHICLES), default=float("inf"))
    except (ValueError, IndexError):
        raise DataError(f"{path}: is no list of KITTI's objects.", "Unpack the archive again.") from None
    return int(np.searchsorted([8.0, 20.0, 999.0], nearest))


def ucf101(root: Path, card: DatasetCard) -> Dataset:
    """9,537 and 3,783 videos of the first official split; as images, their middle frames."""
    layout = "UCF-101/<class>/*.avi and ucfTrainTestlist/{classInd,trainlist01,testlist01}.txt"
    places = (root, root / "ucf101", root / "UCF101")
    base = next((place for place in places if (place / "UCF-101").is_dir()), root)
    folder = required(base / "UCF-101", root, layout)
    lists = base / "ucfTrainTestlist"
    classes = [line.split()[1] for line in _text(lists / "classInd.txt", layout).splitlines() if len(line.split()) == 2]
    position, splits = {name: index for index, name in enumerate(classes)}, []
    for part in ("trainlist01", "testlist01"):
        paths = [line.split()[0] for line in _text(lists / f"{part}.txt", layout).splitlines() if line.strip()]
        unknown = [path for path in paths if path.partition("/")[0] not in position]
        if unknown:
            raise DataError(f"{lists / part}.txt: {unknown[0]} is in no class of classInd.txt.", f"Expected: {layout}.")
        splits.append(VideoFiles(folder, paths, [position[path.partition("/")[0]] for path in paths], classes))
    train, test = splits
    return Dataset(card.name, train, test, metric=card.metric)


def _split(root: Path, rows: list[tuple[str, int]], classes: Iterable[str]) -> FileSplit:
    """``rows``: path below ``root`` and class."""
    return FileSplit(root, [path for path, _ in rows], [label for _, label in rows], tuple(classes))


def _text(path: Path, layout: str) -> str:
    if not path.is_file():
        raise DataError(f"There is no file {path.absolute()}.", f"Expected: {layout} {UNDER}.")
    return path.read_text(encoding="utf-8")


def _json(path: Path, layout: str) -> Any:
    try:
        return json.loads(_text(path, layout))
    except ValueError as error:
        raise DataError(f"{path}: is not JSON: {error}.", "Unpack the archive again.") from None
