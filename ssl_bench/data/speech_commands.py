"""Speech Commands (Warden 2018), in the layout of the official archives; nothing is downloaded.

``<folder>/<word>/*.wav`` with ``validation_list.txt`` and ``testing_list.txt``, where ``<folder>`` is
``speech_commands_v0.02`` (35 words) or ``speech_commands_v0.01``; for the latter also ``speech_commands_test_set_v0.01``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ssl_bench.cards import DatasetCard
from ssl_bench.data.audio_files import AudioFiles, read
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.imagefolder import class_folders
from ssl_bench.data.segmentation_sets import found
from ssl_bench.errors import DataError

NOISE = "_background_noise_"
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
SILENCE, UNKNOWN = "_silence_", "_unknown_"


def speech_commands_v2(root: Path, card: DatasetCard) -> Dataset:
    """35 words, the official 84,843, 9,981 and 11,005 recordings."""
    folder = _folder(root, card, "speech_commands_v0.02")
    classes = tuple(name for name in class_folders(folder) if name != NOISE)
    number = {name: position for position, name in enumerate(classes)}
    parts = _listed(folder, classes)
    made = {
        part: AudioFiles(folder, paths, [number[path.split("/")[0]] for path in paths], classes)
        for part, paths in parts.items()
    }
    return Dataset(card.name, made["train"], made["test"], made["val"], card.metric)


def speech_commands_v1(root: Path, card: DatasetCard) -> Dataset:
    """Ten words, silence and unknown (every other word), tested on the 3,081 recordings of the separate test archive, as
    SUPERB does. Silence for training is cut from the noise recordings, a second at a time; every tenth of these is ``val``."""
    folder = _folder(root, card, "speech_commands_v0.01")
    names = [name for name in class_folders(folder) if name != NOISE]
    classes = (*WORDS, SILENCE, UNKNOWN)
    number = {name: position for position, name in enumerate(classes)}
    parts = _listed(folder, tuple(names))
    made = {}
    noise = _seconds(folder / NOISE)
    for part, keep in (("train", False), ("val", True)):
        quiet = [piece for i, piece in enumerate(noise) if (i % 10 == 9) is keep]
        words = parts[part]
        labels = [number.get(path.split("/")[0], number[UNKNOWN]) for path in words]
        where = np.array([(0.0, 1.0)] * len(words) + [(start, 1.0) for _, start in quiet])
        paths = words + [path for path, _ in quiet]
        labels += [number[SILENCE]] * len(quiet)
        made[part] = AudioFiles(folder, paths, labels, classes, parts=where)
    held = _folder(root, card, "speech_commands_test_set_v0.01")
    if unknown := sorted(set(class_folders(held)) - set(classes)):
        raise DataError(f"{held}: unknown class folders {', '.join(unknown[:5])}.", f"Expected: {', '.join(classes)}.")
    tests = [f"{name}/{file}" for name in classes for file in _wavs(held / name)]
    test = AudioFiles(held, tests, [number[path.split("/")[0]] for path in tests], classes)
    return Dataset(card.name, made["train"], test, made["val"], card.metric)


def _folder(root: Path, card: DatasetCard, name: str) -> Path:
    names = (name, f"SpeechCommands/{name}", f"speech_commands/{name}")
    return found(root, card, names, f"{name}/<word>/*.wav with validation_list.txt and testing_list.txt")


def _listed(folder: Path, classes: tuple[str, ...]) -> dict[str, list[str]]:
    """``val`` and ``test`` as their lists have them; ``train`` is what is in neither."""
    parts: dict[str, list[str]] = {}
    for part, name in (("val", "validation_list.txt"), ("test", "testing_list.txt")):
        path = folder / name
        if not path.is_file():
            raise DataError(f"There is no file {path.absolute()}.", "It is in the official archive: unpack it again.")
        parts[part] = sorted(line.strip() for line in path.read_text().splitlines() if line.strip())
    held = {*parts["val"], *parts["test"]}
    everything = [f"{name}/{file}" for name in classes for file in _wavs(folder / name)]
    if absent := sorted(held - set(everything)):
        raise DataError(f"{folder / absent[0]}: it is in a list, but not there ({len(absent)} such recordings).")
    return {"train": [path for path in everything if path not in held], **parts}


def _wavs(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.wav")) if folder.is_dir() else []


def _seconds(folder: Path) -> list[tuple[str, float]]:
    """(path, first second) of each whole second of the noise recordings."""
    found: list[tuple[str, float]] = []
    for name in _wavs(folder):
        samples, rate = read(folder / name)
        found += [(f"{folder.name}/{name}", float(start)) for start in range(len(samples) // rate)]
    if not found:
        raise DataError(
            f"{folder}: there are no noise recordings.", "They are in the official archive: unpack it again."
        )
    return found
