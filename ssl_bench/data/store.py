"""Stored features: ``<cache>/features/<key>/{features.npy, index.npy, meta.json}``, there whole or not at all.

While an entry is made it lies in ``<key>.partial/``: vectors are appended to ``features.npy`` in blocks, and each block
that is safely on the disk gets a line in ``journal.jsonl``. A killed extraction goes on after the last line. The folder
gets its final name when it is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssl_bench.errors import StoreError
from ssl_bench.progress import Progress

VERSION = 1
"""Raised when the layout or the meaning of an entry changes."""


def key_of(parts: Mapping[str, Any]) -> str:
    """sha256 of the canonical JSON of everything that determines the features."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class Stored:
    """``x``: (n, D) float32, memory-mapped copy-on-write; ``index``: (n,) int64; ``meta``: what is in ``meta.json``."""

    x: np.ndarray
    index: np.ndarray
    meta: dict[str, Any]


class Entry:
    """One key's place in the cache."""

    def __init__(self, cache: Path, key: str) -> None:
        self.key = key
        self.folder = cache / "features" / key
        self.partial = cache / "features" / f"{key}.partial"

    def read(self) -> Stored | None:
        """The stored features, or None if the entry is not there; :class:`StoreError` if it is damaged."""
        if not self.folder.is_dir():
            return None
        try:
            x = np.load(self.folder / "features.npy", mmap_mode="c", allow_pickle=False)
            index = np.load(self.folder / "index.npy", allow_pickle=False)
            meta = json.loads((self.folder / "meta.json").read_text())
            if list(x.shape) != meta["shape"] or len(x) != len(index):
                raise ValueError(f"it has shape {x.shape} and {len(index)} indices, not {meta['shape']}")
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(
                f"{self.folder}: stored features are damaged: {error}.",
                f"Remove the entry (`ssl-bench cache remove {self.key}`); they are extracted again.",
            ) from error
        return Stored(x, index, meta)

    @contextmanager
    def lock(self, progress: Progress) -> Iterator[None]:
        """Only one process at a time makes this entry; another waits. The system frees the lock of a killed process."""
        import fcntl

        with self.writing(), self.folder.with_suffix(".lock").open("w") as file:
            pass
        with self.folder.with_suffix(".lock").open("w") as file:
            # lockf, not flock: the loader's forked workers would inherit a flock and keep it after a kill.
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                progress.note(f"Waiting for another process that extracts the same features ({self.key[:12]}).")
                fcntl.lockf(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def writing(self, needed: int = 0) -> Iterator[None]:
        """Write errors as a :class:`StoreError` with the path and the bytes that are needed."""
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            yield
        except OSError as error:
            raise self.cannot_write(needed, error.strerror or str(error)) from error

    def cannot_write(self, needed: int, reason: str) -> StoreError:
        """``needed``: bytes still to be written; 0 if not known yet."""
        amount = f"; {needed:,} bytes are needed" if needed else ""
        return StoreError(
            f"{self.partial}: features cannot be stored: {reason}{amount}.",
            "Choose another folder with SSL_BENCH_CACHE, or free some space (`ssl-bench cache list`).",
        )


class Writer:
    """Appends to an entry's partial folder. ``position``: images of the split that are done, broken ones included."""

    def __init__(self, entry: Entry, images: int) -> None:
        self.entry, self.images = entry, images
        self.position, self.rows, self.dim = 0, 0, 0
        self.broken: list[tuple[int, str]] = []
        self.blocks: list[dict[str, Any]] = []
        self._pending: list[np.ndarray] = []
        with entry.writing():
            entry.partial.mkdir(exist_ok=True)
            self._resume()

    def append(self, x: np.ndarray, index: np.ndarray) -> None:
        """(b, D) vectors of the images at ``index``; those that are stored already are left out."""
        x = x[index >= self.position]
        if len(x):
            self._pending.append(np.ascontiguousarray(x, dtype="<f4"))

    def commit(self, position: int, broken: list[tuple[int, str]]) -> None:
        """Put what was appended on the disk; all images before ``position`` are done. ``broken``: (index, identity)."""
        if position <= self.position:
            return
        block = b"".join(x.tobytes() for x in self._pending)
        rows = sum(len(x) for x in self._pending)
        self.dim = self._pending[0].shape[1] if self._pending else self.dim
        new = [(index, identity) for index, identity in broken if index >= self.position]
        needed = (self.images - self.position) * self.dim * 4
        with self.entry.writing(needed):
            if shutil.disk_usage(self.entry.partial).free < needed:
                raise self.entry.cannot_write(needed, "the disk is too full")
            if not self.blocks:
                _append(self._features, self._header())
            _append(self._features, block)
            line = {"stop": position, "rows": rows, "dim": self.dim, "broken": new}
            line["sha256"] = hashlib.sha256(block).hexdigest()
            _append(self._journal, json.dumps(line).encode() + b"\n")
        self._take(line)
        self._pending = []

    def finish(self, meta: Mapping[str, Any]) -> None:
        """Write the index and ``meta.json`` and give the entry its final name."""
        index = np.setdiff1d(np.arange(self.position), np.array([at for at, _ in self.broken], dtype=np.int64))
        facts = {**meta, "shape": [self.rows, self.dim], "broken": self.broken, "blocks": self.blocks}
        with self.entry.writing():
            with self._features.open("r+b") as file:
                file.write(self._header())
                os.fsync(file.fileno())
            np.save(self.entry.partial / "index.npy", index)
            _append(self.entry.partial / "meta.json", (json.dumps(facts, indent=1) + "\n").encode())
            self._journal.unlink()
            self.entry.partial.rename(self.entry.folder)

    @property
    def _features(self) -> Path:
        return self.entry.partial / "features.npy"

    @property
    def _journal(self) -> Path:
        return self.entry.partial / "journal.jsonl"

    def _header(self) -> bytes:
        """The .npy header for ``rows``; NumPy pads it, so that its length does not depend on the number of rows."""
        import io

        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "<f4", "fortran_order": False, "shape": (self.rows, self.dim)}
        )
        return header.getvalue()

    def _take(self, line: dict[str, Any]) -> None:
        self.position, self.dim = line["stop"], line["dim"]
        self.rows += line["rows"]
        self.broken += [(int(index), str(identity)) for index, identity in line["broken"]]
        self.blocks.append({"rows": line["rows"], "sha256": line["sha256"]})

    def _resume(self) -> None:
        """Take up what the journal vouches for; cut off what came after it."""
        good = 0
        for raw in self._journal.read_bytes().splitlines(keepends=True) if self._journal.is_file() else []:
            try:
                line = json.loads(raw)
            except ValueError:
                break
            if not raw.endswith(b"\n"):
                break
            self._take(line)
            good += len(raw)
        size = len(self._header()) + self.rows * self.dim * 4 if self.blocks else 0
        for path, length in ((self._journal, good), (self._features, size)):
            path.touch()
            if path.stat().st_size < length:
                raise OSError(f"{path.name} is shorter than its journal says; remove {self.entry.partial}")
            os.truncate(path, length)
        (self.entry.partial / "meta.json").unlink(missing_ok=True)


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
