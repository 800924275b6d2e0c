"""Copydays: find the original of an edited photograph; and procedural copies of our own."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from ssl_bench.cards import DatasetCard
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.segmentation_sets import image_paths
from ssl_bench.data.shapes import SIDE, draw
from ssl_bench.data.splits import ArraySplit, FileSplit
from ssl_bench.errors import DataError

BLOCK = 4
"""Digits of a file's name that say of which original it is: 200000.jpg, and its copies 200001.jpg, ..."""
DISTRACTOR = "distractor"


def copydays(root: Path, card: DatasetCard) -> Dataset:
    """``copydays/{original,strong}/*.jpg``, and beside them ``distractors`` and ``whitening`` with images of any names.

    ``train`` is the database (originals, then distractors), ``test`` are the strong copies, ``val`` the images that the
    whitening is learnt on. The label of an original and of its copies is the same; distractors have one of their own.
    """
    folder = root / card.options.get("folder", "copydays")
    if not (folder / "original").is_dir():
        raise DataError(
            f"There is no data set {card.name} in {root.absolute()}.",
            f"Expected: {folder.name}/{{original,strong,distractors,whitening}}/*.jpg under the data root (--data-root or "
            "SSL_BENCH_DATA).",
        )
    originals, copies = image_paths(folder, "original"), image_paths(folder, "strong")
    others = image_paths(folder, "distractors") if (folder / "distractors").is_dir() else []
    classes = (*dict.fromkeys(map(_block, originals)), *([DISTRACTOR] if others else []))
    known = {name: label for label, name in enumerate(classes)}
    strange = next((path for path in copies if _block(path) not in known), None)
    if strange is not None:
        raise DataError(f"{folder / strange}: has no original.", f"Names begin with the same {BLOCK} digits.")
    labels = [*(known[_block(path)] for path in originals), *(known[DISTRACTOR] for _ in others)]
    whitening = image_paths(folder, "whitening") if (folder / "whitening").is_dir() else []
    return Dataset(
        card.name,
        FileSplit(folder, [*originals, *others], labels, classes),
        FileSplit(folder, copies, [known[_block(path)] for path in copies], classes),
        FileSplit(folder, whitening, np.zeros(len(whitening)), classes) if whitening else None,
        metric=card.metric,
    )


def shapes_copies(root: Path, card: DatasetCard) -> Dataset:
    """The first ``originals`` scenes of ``seed`` and ``distractors`` more; one strong copy of each original; ``whitening``
    further scenes."""
    options = {key: int(value) for key, value in card.options.items()}
    ends = np.cumsum([options["originals"], options["distractors"], options["whitening"]])
    scenes = np.stack([draw(options["seed"], index).pixels for index in range(int(ends[-1]))])
    classes = (*(f"scene {index}" for index in range(ends[0])), DISTRACTOR)
    labels = np.minimum(np.arange(ends[1]), ends[0])
    copies = np.stack([edited(scene, options["seed"], index) for index, scene in enumerate(scenes[: ends[0]])])
    return Dataset(
        card.name,
        ArraySplit(scenes[: ends[1]], labels, classes),
        ArraySplit(copies, labels[: ends[0]], classes),
        ArraySplit(scenes[ends[1] :], np.full(ends[2] - ends[1], ends[0]), classes),
        metric=card.metric,
    )


def edited(pixels: np.ndarray, seed: int, index: int) -> np.ndarray:
    """(H, W, 3) uint8 -> the same, cut to a part, turned a little, blurred, in other light and stored as a poor JPEG."""
    random = np.random.RandomState([seed, index, 3])
    image = Image.fromarray(pixels).rotate(random.uniform(-12, 12), Image.Resampling.BILINEAR)
    side = random.uniform(0.75, 0.95) * SIDE
    left, top = random.uniform(0, SIDE - side, size=2)
    image = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
    image = ImageEnhance.Brightness(image.filter(ImageFilter.GaussianBlur(0.6))).enhance(random.uniform(0.6, 1.4))
    stream = io.BytesIO()
    image.save(stream, "jpeg", quality=30)
    return np.asarray(Image.open(stream).convert("RGB"))


def _block(path: str) -> str:
    return Path(path).name[:BLOCK]
