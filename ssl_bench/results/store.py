"""The results folder: one file a record, written whole or not at all, never changed afterwards.

``<root>/<model>/<task>/<run id>.json``, with the predictions beside it in ``<run id>.npz``.
"""

from __future__ import annotations

import json
import re
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
from pydantic import ValidationError

from ssl_bench.errors import StoreError
from ssl_bench.results.atomic import explained, write_file
from ssl_bench.results.collection import no_collection
from ssl_bench.results.record import SCHEMA, Record, content_hash, identified, plain

ELSEWHERE = "Choose another folder with --results."
RUN_ID = re.compile(r"\d{8}T\d{6}-([0-9a-f]{8})")


class Store:
    """Records below ``root``. ``damaged`` names, after a reading, the files that had to be left out and why."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.damaged: list[str] = []

    def folder(self, model: str, task: str) -> Path:
        """Where the records of a model on a task lie."""
        return self.root / safe_name(model) / safe_name(task)

    def save(self, record: Record, predictions: dict[str, np.ndarray] | None = None) -> Path:
        """Write a record and its predictions (arrays index, label, prediction, score of equal length); returns the file.

        Predictions come first, so that a record never points at missing ones. An existing record is never replaced.
        """
        record = record if record.run_id else identified(record)
        path = self.folder(record.model, record.task) / f"{record.run_id}.json"
        text = record.to_json()
        with explained(path, ELSEWHERE):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                return _same_or_refuse(path, text)
            arrays = path.with_suffix(".npz")
            if predictions is not None:
                write_file(arrays, lambda file: _save_arrays(file, predictions), replace=True)
            try:
                write_file(path, lambda file: file.write(text.encode()), replace=False)
            except FileExistsError:
                return _same_or_refuse(path, text)
            except BaseException:
                arrays.unlink(missing_ok=True)
                raise
        return path

    def check_writable(self) -> None:
        """Find out before long work whether records can be saved; raises :class:`StoreError` if not."""
        with explained(self.root, ELSEWHERE):
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root) as file:
                file.write(b"\0" * 4096)
                file.flush()

    def all(self, include_partial: bool = True) -> list[Record]:
        """Every readable record, oldest first."""
        return self._read(self.root.glob("*/*/*.json"), include_partial)

    def find(
        self,
        model: str,
        task: str,
        *,
        task_version: int,
        settings: dict[str, Any],
        seed: int,
        weights_sha256: str,
        weights_definition: str,
        dataset_fingerprint: str,
        preprocess: dict[str, Any],
        partial: bool = False,
        precision: str | None = None,
        pipeline: str | None = None,
        packages: dict[str, str] | None = None,
    ) -> Record | None:
        """The newest record of exactly this cell, or None: it has to be run.

        ``precision`` and ``pipeline``: None accepts any. ``packages``: versions whose major parts must agree.
        """
        wanted = (
            model,
            task,
            task_version,
            plain(settings),
            seed,
            weights_sha256,
            weights_definition,
            dataset_fingerprint,
            plain(preprocess),
        )
        for record in reversed(self._read(self.folder(model, task).glob("*.json"), include_partial=partial)):
            if (
                _cell(record) == wanted
                and record.partial == partial
                and precision in {None, record.compute.precision}
                and pipeline in {None, record.compute.pipeline}
                and same_majors(record.provenance.packages, packages or {})
            ):
                return record
        return None

    def latest(self, include_partial: bool = True) -> list[Record]:
        """One record for each (model, task, seed): see :func:`latest`."""
        return latest(self.all(include_partial))

    def path(self, record: Record) -> Path:
        """The file of a saved record."""
        return self.folder(record.model, record.task) / f"{record.run_id}.json"

    def predictions(self, record: Record) -> dict[str, np.ndarray] | None:
        """The saved arrays index, label, prediction and score; None if the protocol gives none."""
        path = self.path(record).with_suffix(".npz")
        if not path.exists():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise StoreError(
                f"{path}: the predictions cannot be read: {error}.", "Run the cell again with --force."
            ) from error

    def _read(self, paths: Iterable[Path], include_partial: bool) -> list[Record]:
        self.damaged = []
        records = []
        with no_collection():
            for path in sorted(paths):
                try:
                    record = read_record(path)
                except StoreError as error:
                    self.damaged.append(error.message)
                    continue
                if include_partial or not record.partial:
                    records.append(record)
        return sorted(records, key=lambda record: (record.provenance.created, record.run_id))


def latest(records: Iterable[Record]) -> list[Record]:
    """One record for each (model, task, seed), in the order in which the pairs first appear.

    A complete one goes before a partial one, then one with the task's own settings, then the higher task version, then the newer.
    """
    best: dict[tuple[str, str, int], Record] = {}

    def rank(record: Record) -> tuple[Any, ...]:
        return (not record.partial, not record.overrides, record.task_version, record.provenance.created, record.run_id)

    for record in records:
        key = (record.model, record.task, record.seed)
        if key not in best or rank(record) > rank(best[key]):
            best[key] = record
    return list(best.values())


def read_record(path: Path) -> Record:
    """Read one file; raises :class:`StoreError` that names it when it is damaged, altered or of another schema."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and content.get("schema", SCHEMA) != SCHEMA:
            raise StoreError(f"{path}: has schema {content['schema']!r}; this version of ssl-bench reads {SCHEMA}.")
        record = Record.model_validate(content)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise StoreError(f"{path}: is no result record: {field}: {first['msg']}.") from None
    except ValueError as error:
        raise StoreError(f"{path}: is damaged: {error}.") from None
    claimed = RUN_ID.fullmatch(record.run_id)
    if claimed and claimed[1] != content_hash(content):
        raise StoreError(f"{path}: was changed after it was written (its content does not fit its run id).")
    if record.run_id != path.stem:
        raise StoreError(f"{path}: was changed after it was written (it says run id {record.run_id!r}).")
    return record


def safe_name(name: str) -> str:
    """A name as a folder: ``timm:vit/x`` -> ``timm-vit-x``. The record itself holds the name as it is."""
    cleaned = re.sub(r"[^A-Za-z0-9._+=-]+", "-", name).strip("-.")
    return cleaned[-120:] or "unnamed"


def same_majors(have: dict[str, str], wanted: dict[str, str]) -> bool:
    """Whether every wanted package that a record names has the same major version (0.21 -> 21: below 1, minors count)."""
    return all(_major(have[name]) == _major(version) for name, version in wanted.items() if name in have)


def _major(version: str) -> tuple[str, ...]:
    parts = version.split(".")
    return tuple(parts[:2]) if parts[0] == "0" else tuple(parts[:1])


def _cell(record: Record) -> tuple[Any, ...]:
    return (
        record.model,
        record.task,
        record.task_version,
        record.settings,
        record.seed,
        record.weights.sha256,
        record.weights.definition,
        record.dataset.fingerprint,
        record.preprocess,
    )


def _save_arrays(file: IO[bytes], arrays: dict[str, np.ndarray]) -> None:
    shapes = {name: f"{array.shape} {array.dtype}" for name, array in arrays.items()}
    if len({len(array) for array in arrays.values()}) > 1 or any(array.dtype.hasobject for array in arrays.values()):
        raise ValueError(f"predictions must be plain arrays with one row for each test image: {shapes}")
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # numpy's stub takes them for its flag


def _same_or_refuse(path: Path, text: str) -> Path:
    if path.read_text(encoding="utf-8") == text:
        return path
    raise StoreError(f"{path}: another record has this name; records are never changed.", "Leave run_id empty.")
