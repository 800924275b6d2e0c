"""The cache seen as a list of entries: downloaded checkpoints and stored features. Imports no torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from ssl_bench.backbones.pins import Pins
from ssl_bench.errors import SettingsError, UnknownNameError
from ssl_bench.hashing import sha256_of_file
from ssl_bench.paths import cache_root
from ssl_bench.progress import Progress


@dataclass(frozen=True)
class CacheEntry:
    """``kind``: checkpoint or features; ``size`` in bytes; ``about``: what it is, for people."""

    kind: str
    name: str
    path: Path
    size: int
    about: str


def entries(root: Path | None = None) -> list[CacheEntry]:
    """Everything that is stored, by kind and name."""
    root = cache_root(root)
    found, pinned = [], pinned_files(root)
    for path in sorted((root / "checkpoints").glob("*")):
        if path.is_file() and not path.name.startswith("lock.json") and not path.name.endswith(_BESIDE):
            about = (
                "unfinished download" if path.suffix == ".part" else "pinned" if path.name in pinned else "not pinned"
            )
            found.append(CacheEntry("checkpoint", path.name, path, path.stat().st_size, about))
    for path in sorted((root / "features").glob("*")):
        if path.is_dir():
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            found.append(CacheEntry("features", path.name, path, size, _about_features(path)))
    return found


_BESIDE = (".lock", ".version")
"""What lies beside checkpoints and is none."""


def problem(entry: CacheEntry, progress: Progress | None = None) -> str | None:
    """What is wrong with an entry, or None."""
    if entry.kind == "checkpoint":
        pinned = pinned_files(entry.path.parent.parent).get(entry.name)
        if pinned is None:
            return None
        found = sha256_of_file(entry.path, progress)
        return None if found == pinned else f"sha256 differs from the pinned {pinned[:16]}..."
    if not (entry.path / "meta.json").is_file():
        return "unfinished extraction (the same run goes on with it)"
    try:
        features = np.load(entry.path / "features.npy", mmap_mode="r", allow_pickle=False)
        index = np.load(entry.path / "index.npy", allow_pickle=False)
        json.loads((entry.path / "meta.json").read_text())
    except (OSError, ValueError) as error:
        return f"damaged: {error}"
    return None if len(features) == len(index) else f"damaged: {len(features)} vectors for {len(index)} images"


def remove(names: Sequence[str], *, features: bool, checkpoints: bool, root: Path | None = None) -> list[CacheEntry]:
    """Remove the entries that are named (globs) or of a chosen kind."""
    if not names and not features and not checkpoints:
        raise SettingsError(
            "Nothing chosen to remove.", "Name entries (`ssl-bench cache list`), or give --features or --checkpoints."
        )
    found = entries(root)
    for name in names:
        if not any(fnmatchcase(entry.name, name) for entry in found):
            raise UnknownNameError("cache entry", name, [entry.name for entry in found])
    kinds = {kind for kind, chosen in (("features", features), ("checkpoint", checkpoints)) if chosen}
    doomed = [e for e in found if e.kind in kinds or any(fnmatchcase(e.name, name) for name in names)]
    for entry in doomed:
        if entry.path.is_dir():
            shutil.rmtree(entry.path)
        else:
            entry.path.unlink()
    return doomed


def pinned_files(root: Path | None = None) -> dict[str, str]:
    """File name -> the sha256 that ``lock.json`` pins."""
    pins = Pins(cache_root(root) / "checkpoints").read()
    return {pin["file"]: pin["sha256"] for pin in pins.values()}


def _about_features(path: Path) -> str:
    meta = path / "meta.json"
    if not meta.is_file():
        return "unfinished"
    facts = json.loads(meta.read_text())
    return ", ".join(str(facts[key]) for key in ("model", "dataset", "embedding", "shape") if key in facts)
