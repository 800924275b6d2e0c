"""Retrieval by cosine similarity of frozen features: revisited Oxford and Paris, or any data set with classes.

Images keep their shape (PIL's thumbnail of ``side``). With several ``scales`` s the vector of an image x is
sum over s of f(x resized by s), by bilinear interpolation without anti-aliasing. Queries are not cut to their box.

    easy:   positives easy,         junk as given and hard
    medium: positives easy + hard,  junk as given
    hard:   positives hard,         junk as given and easy

Source: facebookresearch/dino eval_image_retrieval.py; filipradenovic/revisitop. AP: ``metrics.retrieval``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field, PositiveFloat
from torch.nn import functional as F

from ssl_bench.backbones.any_size import accept_any_size
from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.embeddings import embed
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.features import Features, extract
from ssl_bench.data.revisited import DatabaseSplit, QuerySplit
from ssl_bench.errors import DataError
from ssl_bench.protocols.metrics.retrieval import precision_at, ranks_of, trapezoid_ap
from ssl_bench.protocols.protocol import Outcome, Protocol, noting_skipped
from ssl_bench.protocols.training_free.views import Thumbnail, View, for_views
from ssl_bench.results.parts import of_values
from ssl_bench.settings import Settings

KS = (1, 5, 10)
CHUNK = 64
"""Queries that are ranked at a time."""


class RetrieveSettings(Settings):
    """``side``: longest side in pixels (images are never enlarged); ``scales``: 1, 1/sqrt 2 and 1/2 for multi-scale
    vectors; ``embedding``: which vector of the model (``default``: the one that its authors evaluate)."""

    side: int = Field(224, ge=8)
    scales: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] = (1.0,)
    embedding: str = "default"


@dataclass(frozen=True)
class Search:
    """What one query should find in the database: (N,) bool each. Junk takes no place in the list."""

    positive: np.ndarray
    junk: np.ndarray | None = None


class Retrieve(Protocol):
    """Metrics in percent. Revisited sets: ``map_medium`` (the headline), ``map_easy``, ``map_hard``, and ``mp<k>_<level>``, the
    mean precision after k = 1, 5, 10 places. Sets with classes: ``map`` and ``mp<k>``, where the training images of the
    query's class are to be found. Queries without positives are left out. An interval from drawing the queries again."""

    name = "retrieve"
    summary = "Image retrieval by cosine similarity, mAP on revisited Oxford and Paris (DINO)"
    settings = RetrieveSettings

    def evaluate(self, backbone: Backbone, dataset: Dataset, settings: RetrieveSettings, compute: Compute) -> Outcome:
        view = view_of(backbone, settings)
        database, queries = (
            extract(view, split, for_views(compute, batch_size=1)) for split in (dataset.train, dataset.test)
        )
        aps: dict[str, list[float]] = {}
        precisions: dict[str, list[float]] = {}
        with compute.progress.bar("ranking for queries", len(queries)) as advance:
            for row, order in enumerate(orders(database.x, queries.x)):
                for level, search in searches(dataset, database, queries, row).items():
                    ranks = ranks_of(order, search.positive, search.junk)
                    aps.setdefault(f"map{level}", []).append(trapezoid_ap(ranks, int(search.positive.sum())))
                    for k in KS:
                        precisions.setdefault(f"mp{k}{level}", []).append(precision_at(ranks, k))
                advance()
        primary = "map_medium" if "map_medium" in aps else "map"
        found = np.array(aps[primary])
        if np.isnan(found).all():
            raise DataError(f"No query of {dataset.name} has an image to find in this database.", "Take all images.")
        parts = of_values(found, np.asarray(queries.index))
        outcome = Outcome(
            {name: _mean(values) for name, values in (aps | precisions).items()},
            primary=primary,
            interval=parts.interval(),
            details={"queries": len(queries), "database": len(database)},
            parts=parts,
        )
        return noting_skipped(outcome, database, queries)


def view_of(backbone: Backbone, settings: RetrieveSettings) -> View:
    """The backbone as it sees thumbnails at all scales."""

    def vector(model: Backbone, images: torch.Tensor) -> torch.Tensor:
        return sum_over_scales(model, images, settings.scales, settings.embedding)

    what = f"thumbnail {settings.side}, scales {settings.scales}, {settings.embedding}"
    backbone = accept_any_size(backbone, settings.side)
    return View(backbone, Thumbnail(backbone, settings.side), vector, what)


def sum_over_scales(
    backbone: Backbone, images: torch.Tensor, scales: tuple[float, ...], embedding: str = "default"
) -> torch.Tensor:
    """(B, 3, H, W) -> (B, D)."""
    sized = (images if s == 1 else F.interpolate(images, scale_factor=s, mode="bilinear") for s in scales)
    return torch.stack([embed(backbone, image, embedding).float() for image in sized]).sum(0)


def orders(database: np.ndarray, queries: np.ndarray) -> Iterator[np.ndarray]:
    """For every query (N,) positions in the database, most similar first; of equal ones the first."""
    unit = F.normalize(torch.from_numpy(np.asarray(database)), dim=1)
    for chunk in torch.split(torch.from_numpy(np.asarray(queries)), CHUNK):
        similarity = F.normalize(chunk, dim=1) @ unit.T
        yield from similarity.argsort(dim=1, descending=True, stable=True).numpy()


def searches(dataset: Dataset, database: Features, queries: Features, row: int) -> Mapping[str, Search]:
    """Level -> what the query in this row of the features should find among the rows of the database."""
    test = dataset.test
    if not isinstance(test, QuerySplit) or not isinstance(dataset.train, DatabaseSplit):
        return {"": Search(database.y == queries.y[row])}
    places, wanted = dataset.train.places[database.index], test.relevance[int(queries.index[row])]
    easy, hard, junk = (np.isin(places, part) for part in (wanted.easy, wanted.hard, wanted.junk))
    return {
        "_medium": Search(easy | hard, junk),
        "_easy": Search(easy, junk | hard),
        "_hard": Search(hard, junk | easy),
    }


def _mean(values: list[float] | np.ndarray) -> float:
    """Percent, over the queries that have positives; NaN if none has."""
    known = np.asarray(values)[~np.isnan(values)]
    return 100 * float(known.mean()) if len(known) else float("nan")
