"""One vector a video or recording, kept in the store, and a classifier on these vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, PositiveFloat

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Split
from ssl_bench.data.feature_key import key_parts
from ssl_bench.data.features import Features, evaluating
from ssl_bench.data.store import Entry, Writer, key_of
from ssl_bench.errors import FeatureError
from ssl_bench.protocols.knn import Knn, KnnSettings
from ssl_bench.protocols.linear_frozen import LinearFrozen, LinearFrozenSettings
from ssl_bench.protocols.media.samples import Make, Skipped, loaded
from ssl_bench.protocols.protocol import Outcome
from ssl_bench.settings import Settings

BLOCK = 256
"""Videos between two lines of the journal: what a kill can cost at most."""


class FrozenNumbers(Settings):
    """``classifier``: ``linear`` as the protocol ``linear_frozen`` (grid chosen on a held-out part of the training set), or
    ``knn`` as the protocol ``knn``. None of this is from a paper: the authors fine-tune."""

    classifier: Literal["linear", "knn"] = "linear"
    epochs: int = Field(100, ge=1)
    lrs: tuple[PositiveFloat, ...] = Field(LinearFrozenSettings().lrs, min_length=1)
    k: int | None = Field(None, ge=1)
    temperature: PositiveFloat = 0.07


def classify(train: Features, test: Features, numbers: FrozenNumbers, compute: Compute) -> Outcome:
    if numbers.classifier == "knn":
        given = {} if numbers.k is None else {"k": (numbers.k,)}
        return Knn().evaluate_features(train, test, KnnSettings(temperature=numbers.temperature, **given), compute)
    settings = LinearFrozenSettings(epochs=numbers.epochs, lrs=numbers.lrs)
    return LinearFrozen().evaluate_features(train, test, settings, compute)


def vectors(
    backbone: Backbone,
    split: Split,
    how: Settings,
    make: Make,
    embed: Callable[[Any], torch.Tensor],
    compute: Compute,
) -> Features:
    """(N, D): ``embed(make(i))``, a (D,) vector each. ``how``: the settings that make and embed depend on; with the
    backbone and the split they are the key of the store. Goes on after a stop where it was."""
    parts = {
        **key_parts(backbone, split, compute, "default"),
        "how": how.model_dump(mode="json"),
        "skip_broken": compute.skip_broken,
    }
    entry = Entry(compute.cache, key_of(parts))
    if entry.read() is None:
        with entry.lock(compute.progress):
            if entry.read() is None:
                writer = Writer(entry, len(split))
                _write(backbone, split, writer, make, embed, compute)
                facts = {"model": backbone.name, "dataset": split.name, "embedding": "default", "images": len(split)}
                writer.finish({**facts, "key": parts})
    stored = entry.read()
    assert stored is not None
    broken = tuple(str(name) for _, name in stored.meta["broken"])
    return Features(stored.x, split.labels[stored.index], stored.index, len(split.classes), broken)


def _write(
    backbone: Backbone,
    split: Split,
    writer: Writer,
    make: Make,
    embed: Callable[[Any], torch.Tensor],
    compute: Compute,
) -> None:
    what = f"features of {backbone.name} on {split.name}"
    broken: list[tuple[int, str]] = []
    with evaluating(backbone, compute), compute.progress.bar(what, len(split)) as advance:
        advance(writer.position)
        for index, item in one_by_one(make, np.arange(writer.position, len(split)), compute):
            if isinstance(item, Skipped):
                compute.progress.note(f"Skipped: {item.message}")
                broken.append((index, str(split.file(index) or split.identity(index))))
            else:
                with compute.autocast():
                    vector = embed(item).float().cpu().numpy()
                if not np.isfinite(vector).all():
                    raise FeatureError(
                        f"Model {backbone.name}: the features of {split.identity(index)} are not finite."
                    )
                writer.append(vector[None], np.array([index]))
            if (index + 1) % BLOCK == 0 or index + 1 == len(split):
                writer.commit(index + 1, broken)
            advance()
    if not writer.rows:
        raise FeatureError(f"None of the {len(split)} files of {split.name} can be read.")


def one_by_one(make: Make, indices: np.ndarray, compute: Compute) -> Iterator[tuple[int, Any]]:
    """(index, ``make(index)``), or a :class:`Skipped` in its place."""
    for index, (item,) in zip(indices.tolist(), loaded(make, indices, 1, compute), strict=True):
        yield index, item
