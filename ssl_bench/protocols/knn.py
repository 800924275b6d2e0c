"""Weighted k-NN classification (Wu et al. 2018), as DINO made it standard.

With L2-normalised features f, temperature T and the k most similar training images N_k(x)::

    score_c(x) = sum over i in N_k(x) of exp(f_i . f_x / T) [y_i = c]        prediction = argmax_c score_c(x)

Source: facebookresearch/dino eval_knn.py; DINO paper, appendix F.1 (k = 20 is reported; T = 0.07 is not tuned).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import faiss
import numpy as np
import torch
from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt

from ssl_bench.compute import Compute
from ssl_bench.data.features import Features
from ssl_bench.errors import SettingsError
from ssl_bench.protocols.accuracy import accuracy_interval, accuracy_metrics
from ssl_bench.protocols.neighbours import nearest
from ssl_bench.protocols.protocol import FeatureProtocol, Outcome, Predictions
from ssl_bench.protocols.search import FaissSearch, Search, TorchSearch
from ssl_bench.protocols.validation import validate
from ssl_bench.protocols.vote import vote
from ssl_bench.settings import Settings

REPORTED_K = 20


def _as_list(given: Any) -> Any:
    return [given] if isinstance(given, int) else given


class KnnSettings(Settings):
    """``k``: one number of neighbours or several, all found in one search; if it is not given, the default's values
    above the number of training images are left out. ``temperature``: T > 0.

    ``backend``: who searches; ``auto`` is FAISS, on the GPU where there is one. ``bf16_rerank`` searches in bfloat16 and
    scores the candidates again in float32. All choices give the same numbers; they only differ in speed.
    """

    k: Annotated[tuple[PositiveInt, ...], BeforeValidator(_as_list), Field(min_length=1)] = (10, 20, 100, 200)
    temperature: PositiveFloat = 0.07
    backend: Literal["auto", "faiss", "torch"] = "auto"
    search_precision: Literal["fp32", "bf16_rerank"] = "fp32"


class Knn(FeatureProtocol):
    """Metrics in percent: ``top1_k<k>`` and ``top5_k<k>`` for each k (label among the first min(5, k) classes), ``top1``
    at k = 20 (or the first k given), and ``mean_per_class``, the mean over classes of the accuracy at that k."""

    name = "knn"
    summary = "Weighted k-NN on frozen features, k 10 to 200, T 0.07 (DINO)"
    settings = KnnSettings

    def evaluate_features(self, train: Features, test: Features, settings: KnnSettings, compute: Compute) -> Outcome:
        validate(train, test)
        ks = usable_k(settings, len(train))
        searches = backends(settings, compute.device)
        found = nearest(train.x, test.x, max(ks), searches, compute.progress)
        votes = vote(found.similarity, train.y[found.rows], test.y, ks, settings.temperature, train.classes)
        metrics = {}
        for k in ks:
            metrics[f"top1_k{k}"] = _percent(votes[k].place == 0)
            metrics[f"top5_k{k}"] = _percent(votes[k].place < min(5, k, train.classes))
        k = REPORTED_K if REPORTED_K in ks else ks[0]
        prediction = votes[k].prediction
        metrics |= accuracy_metrics(test.y, prediction)
        details: dict[str, Any] = {"primary_k": k, "backend": type(searches[-1]).__name__}
        if left_out := [k for k in settings.k if k not in ks]:
            details["note"] = f"k = {left_out} left out: there are {len(train)} training images"
        return Outcome(
            metrics,
            primary="top1",
            interval=accuracy_interval(test.y, prediction),
            predictions=Predictions(test.index, test.y, prediction, votes[k].share),
            details=details,
        )


def usable_k(settings: KnnSettings, images: int) -> tuple[int, ...]:
    """The k to compute, in the order given and each once; a k that the user gave must fit ``images``."""
    ks = tuple(dict.fromkeys(settings.k))
    fitting = tuple(k for k in ks if k <= images)
    if fitting != ks and "k" in settings.model_fields_set:
        raise SettingsError(
            f"k = {max(ks)} neighbours cannot be found among {images} training images.",
            f"Use --set k=N with N up to {images}, or leave k out.",
        )
    return fitting or (images,)


def backends(settings: KnnSettings, device: torch.device) -> list[Search]:
    """The searches to try in turn, fastest first."""
    cuda = device.type == "cuda"
    search: Search
    if settings.backend == "torch" or (cuda and settings.backend == "auto" and not hasattr(faiss, "knn_gpu")):
        search = TorchSearch(device)
    else:
        search = FaissSearch((device.index or 0) if cuda and hasattr(faiss, "StandardGpuResources") else None)
    if settings.search_precision == "bf16_rerank":
        return [TorchSearch(device, torch.bfloat16), search]
    return [search]


def _percent(right: np.ndarray) -> float:
    return 100 * float(right.mean())
