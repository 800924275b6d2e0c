"""The cache seen as a list of entries: downloaded checkpoints and stored features. Imports no torch."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from ssl_bench.errors import SettingsError, UnknownNameError
from ssl_bench.paths import cache_root


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
    found = []
    for path in sorted((root / "checkpoints").glob("*")):
        if path.is_file() and path.name != "lock.json" and not path.name.endswith(".lock"):
            about = (
                "unfinished download"
                if path.suffix == ".part"
                else "pinned"
                if path.name in _pins(root)
                else "not pinned"
            )
            found.append(CacheEntry("checkpoint", path.name, path, path.stat().st_size, about))
    for path in sorted((root / "features").glob("*")):
        if path.is_dir():
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            found.append(CacheEntry("features", path.name, path, size, _about_features(path)))
    return found


def problem(entry: CacheEntry) -> str | None:
    """What is wrong with an entry, or None."""
    if entry.kind == "checkpoint":
        pinned = _pins(entry.path.parent.parent).get(entry.name)
        if pinned is None:
            return None
        return None if sha256_of(entry.path) == pinned else f"sha256 differs from the pinned {pinned[:16]}..."
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


def sha256_of(path: Path) -> str:
    """Hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pins(root: Path) -> dict[str, str]:
    """File name -> pinned sha256."""
    lock = root / "checkpoints" / "lock.json"
    if not lock.is_file():
        return {}
    pins: dict[str, str] = json.loads(lock.read_text())
    return pins


def _about_features(path: Path) -> str:
    meta = path / "meta.json"
    if not meta.is_file():
        return "unfinished"
    facts = json.loads(meta.read_text())
    return ", ".join(str(facts[key]) for key in ("model", "dataset", "embedding", "shape") if key in facts)
