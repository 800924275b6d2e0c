"""What determines stored features: a change of any part gives another entry."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Split
from ssl_bench.data.store import VERSION
from ssl_bench.data.transforms import Preprocess

LIBRARIES = ("torch", "torchvision", "timm", "pillow")
_HASHES: WeakKeyDictionary[nn.Module, tuple[list[tuple[str, int, int]], str]] = WeakKeyDictionary()


def key_parts(backbone: Backbone, split: Split, compute: Compute, embedding: str) -> dict[str, Any]:
    """JSON-serialisable; the model's and the data set's names are not in it.

    The tensors are hashed beside the checkpoint file: one file may hold several networks (student and teacher).
    """
    return {
        "store": VERSION,
        "weights": backbone.weights.sha256 if backbone.weights else None,
        "tensors": hash_tensors(backbone),
        "backbone": [type(backbone).__qualname__, backbone.embedding, backbone.embed_dim, backbone.definition],
        "preprocess": _describe(backbone.preprocess),
        "pipeline": compute.pipeline,
        "embedding": embedding,
        "split": split.fingerprint,
        "classes": len(split.classes),
        "precision": compute.precision,
        "dtype": "float32",
        "libraries": {name: major(version(name)) for name in LIBRARIES},
    }


def major(release: str) -> str:
    """``2.9.1`` -> ``2``; before 1.0 the second number counts: ``0.29.2`` -> ``0.29``."""
    first, second = release.split(".")[:2]
    return first if first != "0" else f"0.{second}"


def hash_tensors(module: nn.Module) -> str:
    """sha256 of all parameters and buffers: names, types, shapes, values. Remembered until one of them is changed."""
    state = module.state_dict()
    versions = [(name, tensor.data_ptr(), tensor._version) for name, tensor in state.items()]
    known = _HASHES.get(module)
    if known is None or known[0] != versions:
        digest = hashlib.sha256()
        for name, tensor in state.items():
            digest.update(f"{name}\t{tensor.dtype}\t{tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        known = _HASHES[module] = versions, digest.hexdigest()
    return known[1]


def _describe(preprocess: Any) -> Any:
    """The resolved card; a model's own callable is known by its class and ``repr``."""
    if isinstance(preprocess, Preprocess):
        return preprocess.card.model_dump(mode="json")
    card = getattr(preprocess, "card", None)
    return [f"{type(preprocess).__module__}.{type(preprocess).__qualname__}", repr(card if card else preprocess)]
