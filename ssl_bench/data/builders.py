"""A data set's name -> its splits."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ssl_bench.cards import DatasetCard
from ssl_bench.data.dataset import Dataset, Split
from ssl_bench.errors import CardError, DataError, PluginError, SettingsError
from ssl_bench.paths import data_root
from ssl_bench.registry import registry

Builder = Callable[[Path, DatasetCard], Dataset]
"""(data root, card) -> data set; :class:`DataError` if it is not there or not in its layout."""

BUILDERS = {
    "digits": "ssl_bench.data.digits:digits",
    "placed_digits": "ssl_bench.data.digits:placed_digits",
    "shapes": "ssl_bench.data.shapes:shapes",
    "moving_shapes": "ssl_bench.data.moving_shapes:moving_shapes",
    "revisited": "ssl_bench.data.revisited:revisited",
    "davis": "ssl_bench.data.davis:davis",
    "copydays": "ssl_bench.data.copydays:copydays",
    "shapes_copies": "ssl_bench.data.copydays:shapes_copies",
    "voc": "ssl_bench.data.voc:voc",
    "coco": "ssl_bench.data.coco:coco",
    "imagefolder": "ssl_bench.data.imagefolder:imagefolder",
    "inaturalist": "ssl_bench.data.inaturalist:inaturalist",
    "imagenet": "ssl_bench.data.imagenet:imagenet",
    "cifar": "ssl_bench.data.cifar:cifar",
    "fashion_mnist": "ssl_bench.data.torchvision_sets:fashion_mnist",
    "mnist": "ssl_bench.data.torchvision_sets:mnist",
    "gtsrb": "ssl_bench.data.torchvision_sets:gtsrb",
    "official_folders": "ssl_bench.data.folder_sets:official_folders",
    "drawn_folders": "ssl_bench.data.folder_sets:drawn_folders",
    "cub200": "ssl_bench.data.folder_sets:cub200",
    "fer2013": "ssl_bench.data.table_sets:fer2013",
    "clevr_counts": "ssl_bench.data.table_sets:clevr_counts",
    "hateful_memes": "ssl_bench.data.table_sets:hateful_memes",
    "kitti_distance": "ssl_bench.data.table_sets:kitti_distance",
    "ucf101": "ssl_bench.data.table_sets:ucf101",
    "pcam": "ssl_bench.data.pcam:pcam",
    "stl10": "ssl_bench.data.torchvision_sets:stl10",
    "flowers": "ssl_bench.data.torchvision_sets:flowers",
    "pets": "ssl_bench.data.torchvision_sets:pets",
    "food101": "ssl_bench.data.torchvision_sets:food101",
    "dtd": "ssl_bench.data.torchvision_sets:dtd",
    "aircraft": "ssl_bench.data.torchvision_sets:aircraft",
    "cars": "ssl_bench.data.torchvision_sets:cars",
    "birdsnap": "ssl_bench.data.transfer_sets:birdsnap",
    "sun397": "ssl_bench.data.transfer_sets:sun397",
    "caltech101": "ssl_bench.data.transfer_sets:caltech101",
    "voc12": "ssl_bench.data.segmentation_sets:voc12",
    "ade20k": "ssl_bench.data.segmentation_sets:ade20k",
    "camvid": "ssl_bench.data.segmentation_sets:camvid",
    "cityscapes": "ssl_bench.data.segmentation_sets:cityscapes",
    "nyuv2": "ssl_bench.data.rgbd_sets:nyuv2",
    "hypersim": "ssl_bench.data.rgbd_sets:hypersim",
    "seven_scenes": "ssl_bench.data.rgbd_sets:seven_scenes",
    "kinetics": "ssl_bench.data.kinetics:kinetics",
    "tones": "ssl_bench.data.tones:tones",
    "esc50": "ssl_bench.data.audio_sets:esc50",
    "esc10": "ssl_bench.data.audio_sets:esc10",
    "fsdd": "ssl_bench.data.audio_sets:fsdd",
    "speech_commands_v1": "ssl_bench.data.speech_commands:speech_commands_v1",
    "speech_commands_v2": "ssl_bench.data.speech_commands:speech_commands_v2",
    "audioset": "ssl_bench.data.audioset:audioset",
}


def load_dataset(name: str, root: Path | None = None, *, limit: int | None = None) -> Dataset:
    """The data set ``name`` (a card, ``imagefolder:<folder>`` or a plugin's) under the data root ``root``.

    ``limit``: the first ``limit`` images of each class of each split, in the split's order.
    """
    if limit is not None and limit < 1:
        raise SettingsError(f"--limit {limit}: must be at least 1.")
    entry = registry().dataset(name)
    root = data_root(root)
    if isinstance(entry, DatasetCard):
        dataset = builder_of(entry)(root, entry)
    else:
        dataset = entry(root)
        if not isinstance(dataset, Dataset):
            raise PluginError(
                f"Data set {name}: the plugin's function returned {type(dataset).__name__}, not a Dataset.",
                "Return ssl_bench.Dataset(name, train=..., test=...).",
            )
    _check_splits(dataset)
    return dataset if limit is None else first_of_each_class(dataset, limit)


def builder_of(card: DatasetCard) -> Builder:
    """The function that a card names in ``builder``."""
    if card.builder not in BUILDERS:
        raise CardError(
            f"Data set {card.name}: there is no builder {card.builder!r}.", f"There are: {', '.join(sorted(BUILDERS))}"
        )
    module, _, function = BUILDERS[card.builder].partition(":")
    builder: Builder = getattr(importlib.import_module(module), function)
    return builder


def first_of_each_class(dataset: Dataset, limit: int) -> Dataset:
    """The first ``limit`` images of each class of each split."""
    small = {name: split.subset(_first(split.labels, limit)) for name, split in dataset.splits.items()}
    return replace(dataset, **small)  # type: ignore[arg-type]


def _first(labels: np.ndarray, limit: int) -> np.ndarray:
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    rank = np.arange(len(labels)) - np.searchsorted(ordered, ordered)
    return np.sort(order[rank < limit])


def _check_splits(dataset: Dataset) -> None:
    """Every split has images, all name the same classes, and every label has training images. Names the splits."""
    for name, split in dataset.splits.items():
        split.name = f"{dataset.name}/{name}"
        if not len(split):
            raise DataError(f"Data set {dataset.name}: the {name} split has no images.")
        _check_classes(dataset, name, split)


def _check_classes(dataset: Dataset, name: str, split: Split) -> None:
    if split.classes != dataset.train.classes:
        only = sorted(set(split.classes) - set(dataset.train.classes))[:5]
        what = f"{', '.join(only)} only in {name}" if only else "they are in another order"
        raise DataError(f"Data set {dataset.name}: the classes of {name} and train differ: {what}.")
    wrong = np.flatnonzero((split.labels < 0) | (split.labels >= len(split.classes)))
    if len(wrong):
        raise DataError(
            f"Data set {dataset.name}: image {split.identity(int(wrong[0]))} of {name} has label "
            f"{split.labels[wrong[0]]}, and there are {len(split.classes)} classes."
        )
    untrained = np.setdiff1d(split.labels, dataset.train.labels)
    if len(untrained):
        names = ", ".join(split.classes[label] for label in untrained[:5])
        raise DataError(
            f"Data set {dataset.name}: {len(untrained)} classes of {name} have no training image ({names}).",
            "Every class of a test split must be in the train split.",
        )
