"""Copy detection (DINO, Table 8): find the original of an edited photograph among distractors.

The descriptor is the class token and the generalised mean of the patch tokens, both of the last block after the norm::

    GeM(t) = (mean over patches of max(t, 1e-6)^4)^(1/4)

then whitened with the eigenvectors v_i and eigenvalues l_i of the second moments of other images' descriptors x::

    C = mean x x^T (not centred, as the authors' code has it),  z_i = l_i^(-1/2) v_i . (x - mean),  l_i at least 1e-5 of the largest

Cosine similarity, the first 20 of the database, AP by the trapezoid rule (``metrics.retrieval``), mean over the copies.
Source: facebookresearch/dino eval_copy_detection.py and utils.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field, PositiveFloat

from ssl_bench.backbones.any_size import accept_any_size
from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.features import Features, extract
from ssl_bench.errors import DataError
from ssl_bench.protocols.metrics.retrieval import ranks_of, trapezoid_ap
from ssl_bench.protocols.protocol import Outcome, Protocol, noting_skipped
from ssl_bench.protocols.training_free.attention import squashed
from ssl_bench.protocols.training_free.retrieve import orders
from ssl_bench.protocols.training_free.views import View, for_views
from ssl_bench.results.parts import of_values
from ssl_bench.settings import Settings

SMALLEST = 1e-6
FLOOR = 1e-5
"""Eigenvalues below this share of the largest are raised to it."""


class CopydaysSettings(Settings):
    """``side``: images become squares of this side (bicubic); ``power`` of GeM; ``whitening``: learnt on the images of the
    ``whitening`` folder, with eigenvalues to the power -``exponent``; ``centred``: whether their covariance is, which
    the authors' is not; ``first``: how many places of the list count."""

    side: int = Field(320, ge=8)
    power: PositiveFloat = 4.0
    whitening: bool = True
    exponent: float = Field(0.5, ge=0)
    centred: bool = False
    first: int = Field(20, ge=1)


class Copydays(Protocol):
    """Metric in percent: ``map``. An interval from drawing the copies again."""

    name = "copydays"
    summary = "Copy detection with class token and GeM, whitened, mAP (DINO)"
    settings = CopydaysSettings

    def evaluate(self, backbone: Backbone, dataset: Dataset, settings: CopydaysSettings, compute: Compute) -> Outcome:
        if settings.whitening and dataset.val is None:
            raise DataError(
                f"Data set {dataset.name} has no images to learn the whitening on.",
                "Put some thousand photographs into its folder `whitening`, or use --set whitening=false.",
            )
        view, apart = view_of(backbone, settings), for_views(compute)
        database, copies = (extract(view, split, apart) for split in (dataset.train, dataset.test))
        x, queries = np.asarray(database.x), np.asarray(copies.x)
        if settings.whitening and dataset.val is not None:
            learnt = whitening(extract(view, dataset.val, apart), settings)
            x, queries = learnt.apply(x), learnt.apply(queries)
        aps = []
        for label, order in zip(copies.y, orders(x, queries), strict=True):
            positive = database.y == label
            aps.append(trapezoid_ap(ranks_of(order[: settings.first], positive), int(positive.sum())))
        found = np.array(aps)
        if np.isnan(found).any():
            raise DataError(f"{int(np.isnan(found).sum())} copies of {dataset.name} have no original in the database.")
        parts = of_values(found, np.asarray(copies.index))
        return noting_skipped(
            Outcome(
                {"map": 100 * float(found.mean())},
                primary="map",
                interval=parts.interval(),
                details={"copies": len(copies), "database": len(database), "descriptor": x.shape[1]},
                parts=parts,
            ),
            database,
            copies,
        )


def view_of(backbone: Backbone, settings: CopydaysSettings) -> View:
    """The backbone as it sees squares and gives descriptors."""

    def vector(model: Backbone, images: torch.Tensor) -> torch.Tensor:
        return descriptor(model, images, settings.power)

    what = f"square {settings.side}, class token and GeM {settings.power}"
    backbone = accept_any_size(backbone, settings.side)
    return View(backbone, squashed(backbone, settings.side, "bicubic"), vector, what)


def descriptor(backbone: Backbone, images: torch.Tensor, power: float) -> torch.Tensor:
    """(B, 3, H, W) -> (B, 2 D): class token and GeM; networks without class token: (B, D), GeM alone."""
    last = backbone.layers(images)[-1]
    gem = last.map.float().clamp(min=SMALLEST).pow(power).mean((2, 3)).pow(1 / power)
    return gem if last.cls is None else torch.cat([last.cls.float(), gem], dim=1)


@dataclass(frozen=True)
class Whitening:
    """``mean``: (D,); ``directions``: (D, D), rows l_i^(-exponent) v_i, largest eigenvalue first."""

    mean: np.ndarray
    directions: np.ndarray

    def apply(self, x: np.ndarray) -> np.ndarray:
        """(N, D) -> (N, D) float32."""
        whitened: np.ndarray = ((x - self.mean) @ self.directions.T).astype(np.float32)
        return whitened


def whitening(features: Features, settings: CopydaysSettings) -> Whitening:
    x = np.asarray(features.x, dtype=np.float64)
    mean = x.mean(0)
    moments = (x - mean).T @ (x - mean) / len(x) if settings.centred else x.T @ x / len(x)
    values, vectors = np.linalg.eigh(moments)
    values = np.maximum(values, FLOOR * values.max())[::-1]
    return Whitening(mean, (vectors[:, ::-1] / values**settings.exponent).T)
