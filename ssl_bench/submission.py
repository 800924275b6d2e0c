"""Does a third party's model keep the contract, and does every protocol run with it? Answered offline on tiny data."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import torch

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.load import load_model
from ssl_bench.backbones.preflight import Finding, preflight
from ssl_bench.compute import Compute
from ssl_bench.conformance import dense, vectors
from ssl_bench.conformance.attempt import attempt
from ssl_bench.conformance.inputs import samples, sizes_of
from ssl_bench.conformance.tiny import (
    ATTENTION,
    IMAGES_PER_CLASS,
    LAYERS,
    PYRAMID,
    TASKS,
    TEXTS,
    VECTOR,
    Tiny,
    resized,
    run_tiny,
)
from ssl_bench.errors import SslBenchError
from ssl_bench.progress import Silent
from ssl_bench.registry import CodeModel, registry
from ssl_bench.results.store import Store

OFFERS = "offers "
"""How the check of something begins that a model need not have."""


def check_model(name: str, compute: Compute, weights: str | None = None) -> list[Finding]:
    """Compare card and file, load the model, check all that the contract promises, and run every protocol on tiny data.

    Stops early when the file does not fit, the model cannot be loaded or its vectors are wrong. What a model does not offer
    is found out by asking it, and is no failure. The scores of tiny data mean nothing and are not reported.
    """
    return list(findings_of(name, compute, weights))


def findings_of(name: str, compute: Compute, weights: str | None = None) -> Iterator[Finding]:
    """As :func:`check_model`, one by one, cheap ones first."""
    entry = registry().model(name)
    card = entry.card if isinstance(entry, CodeModel) else entry
    for finding in () if isinstance(entry, CodeModel) else preflight(card, compute, weights):
        yield finding
        if not finding.ok:
            return
    try:
        backbone = load_model(
            name, weights=weights, device=compute.device, cache=compute.cache, progress=compute.progress
        )
    except SslBenchError as error:
        yield Finding("loads", str(error))
        return
    yield Finding("loads", None)
    inputs = samples(backbone, compute)
    found = []
    for finding in contract(backbone, inputs, card.embeddings):
        yield finding
        found.append(finding)
    if all(finding.ok for finding in found if not finding.what.startswith(OFFERS)):
        yield from _tasks(name, backbone, {finding.what: finding for finding in found}, compute)


def contract(backbone: Backbone, inputs: torch.Tensor, embeddings: Mapping[str, str]) -> Iterator[Finding]:
    """What a model promises, asked of ``inputs``. The vectors first; the rest only if they are right."""
    for finding in vectors.Vectors(backbone, inputs).findings():
        yield finding
        if not finding.ok:
            return
    for vector in dict.fromkeys([*embeddings.values(), *backbone.own_embeddings]):
        yield attempt(f"gives the embedding {vector}", partial(vectors.named, backbone, inputs, vector))
    if backbone.modality == "image":
        yield from _offers(backbone, inputs)


def _offers(backbone: Backbone, images: torch.Tensor) -> Iterator[Finding]:
    """Asked of two images of the card's size, then of others."""
    own, others = sizes_of(images)

    def larger(offer: str, check: dense.Check) -> Finding:
        return attempt(OFFERS + resized(offer), lambda: dense.of_other_sizes(check, backbone, images, others))

    yield larger(VECTOR, vectors.of_size)
    for offer, check, other in (
        (LAYERS, dense.layers, dense.last_layer),
        (PYRAMID, dense.pyramid, dense.levels),
        (ATTENTION, dense.attention, dense.attention),
    ):
        finding = attempt(OFFERS + offer, partial(check, backbone, images, own))
        yield finding
        if finding.ok and finding.offered:
            yield larger(offer, other)
    yield attempt(OFFERS + TEXTS, lambda: dense.texts(backbone))


def _tasks(name: str, backbone: Backbone, found: Mapping[str, Finding], compute: Compute) -> Iterator[Finding]:
    """Every tiny task whose needs are met; features and records go to one temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        tiny = compute.with_(limit=IMAGES_PER_CLASS, cache=Path(folder) / "cache", progress=Silent())
        for task in TASKS[backbone.modality]:
            if (missing := _missing(task, found)) is not None:
                yield missing
            else:
                yield run_tiny(name, backbone, task, tiny, Store(Path(folder) / "results"))


def _missing(task: Tiny, found: Mapping[str, Finding]) -> Finding | None:
    """Why a task is not run: the first thing that it needs and the model does not offer, or that is broken."""
    for need in task.needs:
        finding = found.get(OFFERS + need)
        if finding is not None and not finding.ok:
            return Finding(f"runs {task.task}", None, f"not tried: {need} failed", offered=False)
        if finding is None or not finding.offered:
            return Finding(f"runs {task.task}", None, f"needs {need}", offered=False)
    return None
