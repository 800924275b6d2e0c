"""CIFAR-10 and CIFAR-100 in their official python batches (torchvision's layout), or any part of them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from torchvision import datasets as tv

from ssl_bench.cards import DatasetCard
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.splits import ArraySplit
from ssl_bench.errors import DataError

_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


def cifar(root: Path, card: DatasetCard) -> Dataset:
    """(32, 32, 3) uint8 images. torchvision's reader is not used: it unpickles freely and refuses any subset."""
    kind = getattr(tv, card.options["kind"])
    folder = next((f for f in (root / kind.base_folder, root / card.name / kind.base_folder) if f.is_dir()), None)
    if folder is None:
        raise DataError(
            f"There is no folder {(root / kind.base_folder).absolute()}.",
            f"Expected: {kind.base_folder}/{{{','.join(names(kind))}}}, as torchvision unpacks {kind.filename}, "
            f"under the data root (--data-root or SSL_BENCH_DATA).",
        )
    classes = _text(_field(_unpickle(folder / kind.meta["filename"]), kind.meta["key"], folder))
    train, test = (_split([folder / name for name, _ in files], classes) for files in (kind.train_list, kind.test_list))
    return Dataset(card.name, train, test, metric=card.metric)


def names(kind: Any) -> list[str]:
    """The files of a complete copy."""
    return [name for name, _ in (*kind.train_list, *kind.test_list)] + [kind.meta["filename"]]


def _split(paths: list[Path], classes: list[str]) -> ArraySplit:
    batches = [_unpickle(path) for path in paths]
    pixels = np.concatenate([_field(b, "data", p) for b, p in zip(batches, paths, strict=True)])
    labels = [_field(b, "labels" if "labels" in b else "fine_labels", p) for b, p in zip(batches, paths, strict=True)]
    return ArraySplit(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), np.concatenate(labels), classes)


class _ArraysOnly(pickle.Unpickler):
    """Arrays, strings, numbers, lists and dicts; anything that could run code is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it wants to run {module}.{name}")
        return super().find_class(module, name)


def _unpickle(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = _ArraysOnly(file, encoding="latin1").load()
    except FileNotFoundError:
        raise DataError(
            f"There is no file {path.absolute()}.", "The other batches are there; unpack it again."
        ) from None
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, OSError) as error:
        raise DataError(f"{path}: is not an intact batch file: {error}.", "Unpack the archive again.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds {type(content).__name__}, not a batch.")
    return content


def _field(batch: dict[str, Any], key: str, path: Path) -> Any:
    if key not in batch:
        raise DataError(f"{path}: has no field {key!r}, so it is no CIFAR batch.")
    return batch[key]


def _text(values: list[Any]) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]
