"""One vector a class from its sentences: each normalised, averaged, normalised again.

With sentences s of class c and the text tower f (openai/CLIP, notebooks)::

    w_c = n(mean_s n(f(s))),    n(v) = v / |v|

Without the second n, a class whose sentences agree would get higher logits than one whose sentences do not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.texts import text_tower
from ssl_bench.compute import Compute
from ssl_bench.data.feature_key import hash_tensors, major
from ssl_bench.data.features import evaluating
from ssl_bench.data.store import VERSION, Entry, Writer, key_of
from ssl_bench.errors import FeatureError

BATCH = 256
"""Sentences of one forward."""
BLOCK = 64
"""Forwards between two journal lines: what a kill can cost at most."""


def class_vectors(backbone: Backbone, texts: Sequence[Sequence[str]], name: str, compute: Compute) -> np.ndarray:
    """(C, E) float32 unit vectors; ``texts``: the sentences of each class. Kept in the cache under a key of all that
    determines them, and taken up again where a killed run stopped. ``name``: of the data set, for people."""
    parts = _key_parts(backbone, texts, compute)
    entry = Entry(compute.cache, key_of(parts))
    if (stored := entry.read()) is None:
        with entry.lock(compute.progress):
            if (stored := entry.read()) is None:
                writer = Writer(entry, len(texts))
                _encode(backbone, texts, name, writer, compute)
                facts = {"model": backbone.name, "dataset": f"{name}/classes", "embedding": "texts"}
                writer.finish({**facts, "images": len(texts), "key": parts})
                stored = entry.read()
    assert stored is not None
    return stored.x


def _encode(backbone: Backbone, texts: Sequence[Sequence[str]], name: str, writer: Writer, compute: Compute) -> None:
    tower, start = text_tower(backbone), writer.position
    with (
        evaluating(backbone, compute),
        compute.progress.bar(f"class names of {name} by {backbone.name}", len(texts)) as advance,
    ):
        advance(start)
        for number, (first, classes) in enumerate(_groups(texts, start), 1):
            tokens = tower.tokenizer([text for sentences in classes for text in sentences]).to(compute.device)
            with compute.autocast():
                parts = [tower.encode_text(batch) for batch in torch.split(tokens, BATCH)]
            each = torch.split(F.normalize(torch.cat(parts).float(), dim=1), [len(some) for some in classes])
            vectors = F.normalize(torch.stack([found.mean(dim=0) for found in each]), dim=1)
            if not vectors.isfinite().all():
                raise FeatureError(
                    f"Model {backbone.name}: vectors of texts are not finite.",
                    "Check the checkpoint; with --precision fp16 try bf16 or fp32.",
                )
            index = np.arange(first, first + len(classes))
            writer.append(vectors.cpu().numpy(), index)
            if number % BLOCK == 0:
                writer.commit(first + len(classes), [])
            advance(len(classes))
        writer.commit(len(texts), [])


def _groups(texts: Sequence[Sequence[str]], start: int) -> Iterator[tuple[int, list[Sequence[str]]]]:
    """(number of the first, classes): as many whole classes as have ``BATCH`` sentences together, at least one."""
    group: list[Sequence[str]] = []
    for at in range(start, len(texts)):
        group.append(texts[at])
        if at + 1 == len(texts) or sum(map(len, group)) + len(texts[at + 1]) > BATCH:
            yield at + 1 - len(group), group
            group = []


def _key_parts(backbone: Backbone, texts: Sequence[Sequence[str]], compute: Compute) -> dict[str, Any]:
    """Beside the sentences: the network, the library that cuts them into tokens, and the precision."""
    return {
        "store": VERSION,
        "texts": hashlib.sha256(json.dumps(texts).encode()).hexdigest(),
        "vocabulary": getattr(text_tower(backbone).tokenizer, "fingerprint", None),
        "tensors": hash_tensors(backbone),
        "backbone": [type(backbone).__qualname__, backbone.definition],
        "precision": compute.precision,
        "libraries": {name: major(version(name)) for name in ("torch", "open_clip_torch")},
    }
