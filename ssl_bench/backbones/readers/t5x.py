"""Checkpoints of T5X (FLIP): a folder with a file ``checkpoint`` and a folder ``target.<dotted name>`` for each parameter.

``checkpoint`` is the msgpack of flax: ``{version, optimizer: {target: {...}, state: {...}}}``. A leaf is either an array
(small ones) or the description of a zarr folder beside the file (TensorStore's "spec"). Only ``target``, the weights, is
read; the optimiser's ``state`` may be missing. Sources: google-research/t5x checkpoints.py (version 3),
google/flax serialization.py. Neither JAX, flax nor TensorStore are needed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import torch

from ssl_bench.backbones.readers import zarr
from ssl_bench.backbones.readers.problems import AGAIN, damaged
from ssl_bench.errors import CheckpointError

_NDARRAY, _COMPLEX, _SCALAR = 1, 2, 3
"""flax's extension types of msgpack."""

_KINDS = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)|bfloat16")


def folder_in(path: Path) -> Path | None:
    """The folder that is the checkpoint: ``path`` itself, or the only one below it (``checkpoint_<step>``); None if there is
    none. A text file of the same name belongs to TensorFlow.

    Raises :class:`CheckpointError` if there are several.
    """
    found = [file.parent for file in sorted(path.rglob("checkpoint")) if file.is_file() and _is_msgpack(file)]
    if len(found) > 1:
        names = ", ".join(folder.relative_to(path).as_posix() for folder in found[:8])
        raise CheckpointError(f"{path} holds {len(found)} checkpoints ({names}).", "Give one of them with --weights.")
    return found[0] if found else None


def read(folder: Path) -> dict[str, Any]:
    """``{"version": n, "target": {...}}``: the weights as nested mappings of tensors."""
    try:
        content = msgpack.unpackb(
            (folder / "checkpoint").read_bytes(), ext_hook=_extension, raw=False, strict_map_key=False
        )
        version, target = content["version"], content["optimizer"]["target"]
        if version not in {2, 3}:
            raise CheckpointError(f"{folder} is a T5X checkpoint of version {version!r:.40}; 2 and 3 are read.", AGAIN)
        return {"version": version, "target": _tree(target, folder)}
    except (msgpack.UnpackException, ValueError, TypeError, LookupError, OSError, MemoryError, RecursionError) as error:
        raise damaged(folder, error) from None


def _is_msgpack(file: Path) -> bool:
    """Whether it begins as a mapping of msgpack does."""
    with open(file, "rb") as opened:
        first = opened.read(1)
    return bool(first) and (0x80 <= first[0] <= 0x8F or first[0] in {0xDE, 0xDF})


def _tree(node: Any, folder: Path) -> Any:
    if isinstance(node, Mapping):
        if {"driver", "kvstore"} <= node.keys():
            return _stored(node, folder)
        if "__msgpack_chunked_array__" in node:
            return _joined(node)
        return {name: _tree(inner, folder) for name, inner in node.items()}
    return node


def _stored(spec: Mapping[str, Any], folder: Path) -> torch.Tensor:
    """The array of a TensorStore description. Where it was written (disk or cloud) does not matter: its path is relative."""
    store = spec["kvstore"]
    path = store.get("path", spec.get("path"))
    name = path.strip("/") if isinstance(path, str) else ""
    if spec["driver"] != "zarr" or not re.fullmatch(r"[\w-][\w.-]*", name):
        raise ValueError(f"a parameter is kept as {spec['driver']!r:.20} in {path!r:.80}, which is not read")
    return zarr.read(folder / name)


def _joined(node: Mapping[str, Any]) -> torch.Tensor:
    """flax's form of arrays over a gigabyte: ``{shape: {"0": n, ...}, chunks: {"0": array, ...}}``."""
    shape, chunks = node["shape"], node["chunks"]
    return torch.cat([chunks[str(i)] for i in range(len(chunks))]).reshape([shape[str(i)] for i in range(len(shape))])


def _extension(code: int, data: bytes) -> Any:
    if code == _COMPLEX:
        return complex(*msgpack.unpackb(data))
    if code not in {_NDARRAY, _SCALAR}:
        raise ValueError(f"it holds an extension {code} of msgpack, which flax does not write")
    shape, kind, values = msgpack.unpackb(data)
    if not isinstance(kind, str) or not _KINDS.fullmatch(kind):
        raise ValueError(f"it holds an array of type {kind!r:.40}; only numbers are read")
    dtype = np.dtype("<i2" if kind == "bfloat16" else kind)
    if math.prod(shape) * dtype.itemsize != len(values):
        raise ValueError(f"an array of shape {shape} has {len(values)} bytes")
    tensor = torch.from_numpy(np.frombuffer(values, dtype).reshape(shape).copy())
    tensor = tensor.view(torch.bfloat16) if kind == "bfloat16" else tensor
    return tensor if code == _NDARRAY else tensor.item()
