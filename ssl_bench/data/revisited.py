"""Revisited Oxford and Paris (Radenovic et al. 2018): a database of images, and queries with graded ground truth."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssl_bench.backbones.readers import plain_pickle
from ssl_bench.cards import DatasetCard
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.splits import FileSplit
from ssl_bench.errors import CheckpointError, DataError

CLASSES = ("landmark",)


@dataclass(frozen=True)
class Relevance:
    """Positions in the whole database: what a query should find easily, with difficulty, and what does not count."""

    easy: np.ndarray
    hard: np.ndarray
    junk: np.ndarray


class DatabaseSplit(FileSplit):
    """The images to search in. ``places``: (N,) position of each in the whole database."""

    def __init__(self, root: Path, paths: Sequence[str], places: np.ndarray) -> None:
        super().__init__(root, paths, np.zeros(len(paths)), CLASSES)
        self.places = places

    def subset(self, indices: Sequence[int] | np.ndarray) -> DatabaseSplit:
        chosen = np.asarray(indices, dtype=np.int64)
        return DatabaseSplit(self.root, [self.path(index) for index in chosen], self.places[chosen])


class QuerySplit(FileSplit):
    """The images to search for. ``relevance``: one entry a query. Queries are whole images, not cut to their box."""

    def __init__(self, root: Path, paths: Sequence[str], relevance: Sequence[Relevance]) -> None:
        super().__init__(root, paths, np.zeros(len(paths)), CLASSES)
        self.relevance = tuple(relevance)

    def identity(self, index: int) -> str:
        parts = self.relevance[index]
        lists = json.dumps([part.tolist() for part in (parts.easy, parts.hard, parts.junk)])
        return f"{super().identity(index)}:{hashlib.sha256(lists.encode()).hexdigest()[:16]}"

    def subset(self, indices: Sequence[int] | np.ndarray) -> QuerySplit:
        chosen = [int(index) for index in np.asarray(indices)]
        return QuerySplit(self.root, [self.path(i) for i in chosen], [self.relevance[i] for i in chosen])


def revisited(root: Path, card: DatasetCard) -> Dataset:
    """``options``: ``folder`` (roxford5k), which holds ``gnd_<folder>.pkl`` (or ``.json`` with the same content) and
    ``jpg/<name>.jpg``. ``train`` is the database, ``test`` are the queries."""
    name = card.options["folder"]
    folders = [root / name, root / "revisitop" / name]
    files = [folder / f"gnd_{name}{end}" for folder in folders for end in (".pkl", ".json")]
    truth = next((file for file in files if file.is_file()), None)
    if truth is None:
        raise DataError(
            f"There is no data set {card.name} in {root.absolute()}.",
            f"Expected: {name}/{{gnd_{name}.pkl,jpg/*.jpg}} under the data root (--data-root or SSL_BENCH_DATA).",
        )
    images, queries, relevance = ground_truth(truth)
    database = DatabaseSplit(truth.parent, [f"jpg/{image}.jpg" for image in images], np.arange(len(images)))
    return Dataset(
        card.name,
        database,
        QuerySplit(truth.parent, [f"jpg/{image}.jpg" for image in queries], relevance),
        metric=card.metric,
    )


def ground_truth(path: Path) -> tuple[list[str], list[str], list[Relevance]]:
    """Names of the database's images and of the queries, and what each query should find. Nothing in a pickle is run."""
    try:
        whole = json.loads(path.read_bytes()) if path.suffix == ".json" else plain_pickle.read(path)
        images, queries = ([str(name) for name in whole[key]] for key in ("imlist", "qimlist"))
        entries = whole["gnd"]
        relevance = [Relevance(*(_positions(entry[part]) for part in ("easy", "hard", "junk"))) for entry in entries]
    except CheckpointError as error:
        raise DataError(
            f"{path}: is not read: {error.message}", "Take the file of the data set's page again."
        ) from None
    except (KeyError, TypeError, ValueError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: is not a ground truth of revisited Oxford and Paris ({type(error).__name__}: {error}).",
            "It needs imlist, qimlist, and gnd with easy, hard and junk for each query.",
        ) from None
    if len(relevance) != len(queries):
        raise DataError(f"{path}: there are {len(queries)} queries and ground truth for {len(relevance)}.")
    for query, found in zip(queries, relevance, strict=True):
        positions = np.concatenate([found.easy, found.hard, found.junk])
        if len(positions) and not 0 <= positions.min() <= positions.max() < len(images):
            raise DataError(f"{path}: query {query} names image {positions.max()}, and there are {len(images)}.")
    return images, queries, relevance


def _positions(values: Any) -> np.ndarray:
    found = np.asarray(values, dtype=np.int64).reshape(-1)
    return np.unique(found)
