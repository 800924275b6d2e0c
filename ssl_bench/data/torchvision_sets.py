"""Data sets that torchvision reads, in its own layouts and with the official splits; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torchvision import datasets as tv

from ssl_bench.cards import DatasetCard
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.splits import ArraySplit, FileSplit
from ssl_bench.errors import DataError

LAYOUTS = {
    "mnist": "MNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte",
    "gtsrb": "gtsrb/{GTSRB/Training/<class>/*.ppm,GTSRB/Final_Test/Images/*.ppm,GT-final_test.csv}",
    "fashion_mnist": "FashionMNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte",
    "stl10": "stl10_binary/{train_X,train_y,test_X,test_y}.bin",
    "flowers": "flowers-102/{jpg/*.jpg,imagelabels.mat,setid.mat}",
    "pets": "oxford-iiit-pet/{images/*.jpg,annotations/{trainval,test}.txt}",
    "food101": "food-101/{images/<class>/*.jpg,meta/{train,test}.json}",
    "dtd": "dtd/dtd/{images/<class>/*.jpg,labels/{train1,val1,test1}.txt}",
    "aircraft": "fgvc-aircraft-2013b/data/{images/*.jpg,variants.txt,images_variant_{train,val,test}.txt}",
    "cars": "stanford_cars/{cars_train,cars_test,devkit,cars_test_annos_withlabels.mat}",
}

STL10 = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
"""Its classes, where the file that names them is not there."""


def fashion_mnist(root: Path, card: DatasetCard) -> Dataset:
    """60,000 and 10,000 images of 28 x 28, grey made RGB."""
    train, test = (_grey(_open(tv.FashionMNIST, root, card, train=train)) for train in (True, False))
    return Dataset(card.name, train, test, metric=card.metric)


def mnist(root: Path, card: DatasetCard) -> Dataset:
    """60,000 and 10,000 images of 28 x 28, grey made RGB; classes ``0`` to ``9``."""
    train, test = (_grey(_open(tv.MNIST, root, card, train=train)) for train in (True, False))
    for part in (train, test):
        part.classes = tuple("0123456789")
    return Dataset(card.name, train, test, metric=card.metric)


def gtsrb(root: Path, card: DatasetCard) -> Dataset:
    """26,640 train, 12,630 test; classes are the names of the training folders, ``00000`` to ``00042``."""
    splits = []
    for part in ("train", "test"):
        source = _open(tv.GTSRB, root, card, split=part)
        paths, labels = zip(*source._samples, strict=True)
        splits.append(_file_split(Path(source.root), paths, labels, [f"{number:05d}" for number in range(43)]))
    train, test = splits
    return Dataset(card.name, train, test, metric=card.metric)


def stl10(root: Path, card: DatasetCard) -> Dataset:
    """The labelled 5,000 and 8,000 images of 96 x 96; the unlabelled file need not be there."""
    train, test = (_planar(_open(_LabelledSTL10, root, card, split=split)) for split in ("train", "test"))
    return Dataset(card.name, train, test, metric=card.metric)


def flowers(root: Path, card: DatasetCard) -> Dataset:
    """1,020 train, 1,020 val, 6,149 test."""
    return _of_files(root, card, tv.Flowers102, "_image_files", "_labels", train="train", val="val", test="test")


def pets(root: Path, card: DatasetCard) -> Dataset:
    """3,680 trainval, 3,669 test."""
    return _of_files(root, card, tv.OxfordIIITPet, "_images", "_labels", train="trainval", test="test")


def food101(root: Path, card: DatasetCard) -> Dataset:
    """75,750 train, 25,250 test."""
    return _of_files(root, card, tv.Food101, "_image_files", "_labels", train="train", test="test")


def dtd(root: Path, card: DatasetCard) -> Dataset:
    """1,880 train, val and test each, of the first of the ten official partitions."""
    return _of_files(root, card, tv.DTD, "_image_files", "_labels", train="train", val="val", test="test")


def aircraft(root: Path, card: DatasetCard) -> Dataset:
    """3,334 train, 3,333 val, 3,333 test; the 100 variants."""
    return _of_files(root, card, tv.FGVCAircraft, "_image_files", "_labels", train="train", val="val", test="test")


def cars(root: Path, card: DatasetCard) -> Dataset:
    """8,144 train, 8,041 test."""
    return _of_files(root, card, tv.StanfordCars, "_samples", None, train="train", test="test")


class _LabelledSTL10(tv.STL10):  # type: ignore[misc, unused-ignore]
    """Without torchvision's check, which reads the 2.6 GB of unlabelled images at every start."""

    def _check_integrity(self) -> bool:
        return True


def _open(kind: Any, root: Path, card: DatasetCard, **arguments: Any) -> Any:
    """torchvision's data set below the data root, or below a folder with our name for it."""
    problem: Exception = FileNotFoundError()
    for place in (root, root / card.name):
        try:
            return kind(place, download=False, **arguments)
        except (RuntimeError, OSError, KeyError, ValueError) as error:
            problem = error if place == root or not isinstance(error, FileNotFoundError) else problem
    raise DataError(
        f"Data set {card.name} is not in {root.absolute()}, or not complete: {_brief(problem)}.",
        f"Expected: {LAYOUTS[card.builder]} under the data root (--data-root or SSL_BENCH_DATA).",
    ) from problem


def _brief(error: Exception) -> str:
    """torchvision ends its message with advice (download=True) that does not apply here."""
    return str(error).split(". You")[0].rstrip(".")


def _of_files(root: Path, card: DatasetCard, kind: Any, files: str, labels: str | None, **splits: str) -> Dataset:
    """``splits``: our name of a split -> torchvision's. torchvision keeps the file list in a private attribute."""
    made = {}
    for name, official in splits.items():
        source = _open(kind, root, card, split=official)
        entries = getattr(source, files)
        paths = entries if labels else [path for path, _ in entries]
        targets = getattr(source, labels) if labels else [label for _, label in entries]
        made[name] = _file_split(Path(source.root), paths, targets, source.classes)
    return Dataset(card.name, made["train"], made["test"], made.get("val"), card.metric)


def _file_split(root: Path, paths: Sequence[Any], labels: Sequence[int], classes: Sequence[str]) -> FileSplit:
    return FileSplit(root, [Path(path).relative_to(root).as_posix() for path in paths], labels, classes)


def _grey(source: Any) -> ArraySplit:
    pixels = np.asarray(source.data)
    return ArraySplit(np.repeat(pixels[..., None], 3, axis=3), np.asarray(source.targets), source.classes)


def _planar(source: Any) -> ArraySplit:
    return ArraySplit(source.data.transpose(0, 2, 3, 1), source.labels, getattr(source, "classes", None) or STL10)
