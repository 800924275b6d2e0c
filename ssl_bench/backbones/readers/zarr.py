"""Arrays that TensorStore wrote in the format zarr 2: a folder with ``.zarray`` (JSON) and one file for each chunk.

Source: the zarr 2 specification (zarr.readthedocs.io, "Zarr Storage Specification Version 2"), and TensorStore's zarr driver for the type
``bfloat16``. Read here: plain numbers, gzip, zlib or no compression, no filters, every chunk present.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

_WINDOW = {"gzip": 31, "zlib": 15}
"""zlib's ``wbits`` for the headers of both."""

_RATIO = 1100
"""gzip cannot shrink anything more than 1032 times."""


@dataclass(frozen=True)
class _Array:
    """What ``.zarray`` says. ``bfloat16`` is read as 16-bit integers."""

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any]
    bfloat16: bool
    order: Any
    compressor: str | None
    separator: str

    def grid(self) -> Iterator[tuple[int, ...]]:
        """Indices of all chunks; one without indices for an array without dimensions."""
        return itertools.product(
            *(range(-(-side // chunk)) for side, chunk in zip(self.shape, self.chunks, strict=True))
        )


def read(folder: Path) -> torch.Tensor:
    """Raises :class:`ValueError` or :class:`OSError` for what is missing, cut off or of a kind that is not read."""
    meta = _meta(json.loads((folder / ".zarray").read_bytes()))
    count = math.prod(-(-side // chunk) for side, chunk in zip(meta.shape, meta.chunks, strict=True))
    if count > sum(1 for _ in folder.rglob("*")):
        raise ValueError(f"{folder.name} lacks most of its {count} chunks")
    files = {index: folder / (meta.separator.join(map(str, index)) or "0") for index in meta.grid()}
    if missing := [file.name for file in files.values() if not file.is_file()]:
        raise ValueError(f"{folder.name} lacks {len(missing)} of its {len(files)} chunks ({', '.join(missing[:3])})")
    stored = sum(file.stat().st_size for file in files.values())
    if math.prod(meta.shape) * meta.dtype.itemsize > _RATIO * stored:
        raise ValueError(f"{folder.name} unpacks to over {_RATIO} times its size")
    array = np.empty(meta.shape, meta.dtype.newbyteorder("="))
    for index, file in files.items():
        chunk = _chunk(file, meta)
        start = [i * side for i, side in zip(index, meta.chunks, strict=True)]
        stop = [min(s + side, end) for s, side, end in zip(start, meta.chunks, meta.shape, strict=True)]
        inside = tuple(slice(0, e - s) for s, e in zip(start, stop, strict=True))
        array[tuple(slice(s, e) for s, e in zip(start, stop, strict=True))] = chunk[inside]
    return torch.from_numpy(array).view(torch.bfloat16) if meta.bfloat16 else torch.from_numpy(array)


def _meta(given: Any) -> _Array:
    if not isinstance(given, dict) or given.get("zarr_format") != 2:
        raise ValueError("its .zarray is not of the format zarr 2")
    compressor, filters, kind = given.get("compressor"), given.get("filters"), given.get("dtype")
    name = compressor.get("id") if isinstance(compressor, dict) else compressor
    if name is not None and name not in _WINDOW:
        raise ValueError(f"its arrays are compressed with {name}; only gzip and zlib are read")
    if filters:
        raise ValueError(f"its arrays went through filters ({filters!r:.80}); none are read")
    if not isinstance(kind, str) or not re.fullmatch(r"bfloat16|[<>|](b1|[iu][1248]|f[248])", kind):
        raise ValueError(f"its arrays are of type {kind!r:.40}; only numbers are read")
    shape, chunks = _sides(given.get("shape"), 0), _sides(given.get("chunks"), 1)
    if len(shape) != len(chunks) or given.get("order") not in {"C", "F"}:
        raise ValueError("its .zarray contradicts itself")
    separator = given.get("dimension_separator", ".")
    if separator not in {".", "/"}:
        raise ValueError(f"its chunks are named with {separator!r:.20}")
    is_bfloat16 = kind == "bfloat16"
    return _Array(shape, chunks, np.dtype("<i2" if is_bfloat16 else kind), is_bfloat16, given["order"], name, separator)


def _sides(given: Any, least: int) -> tuple[int, ...]:
    if not isinstance(given, list) or not all(type(side) is int and side >= least for side in given):
        raise ValueError(f"its .zarray has sides {given!r:.80}")
    return tuple(given)


def _chunk(file: Path, meta: _Array) -> np.ndarray[Any, Any]:
    """A chunk at its full size, also where it hangs over the array's end."""
    size, data = math.prod(meta.chunks) * meta.dtype.itemsize, file.read_bytes()
    if meta.compressor is not None:
        reader = zlib.decompressobj(_WINDOW[meta.compressor])
        try:
            data = reader.decompress(data, size + 1)
        except zlib.error as error:
            raise ValueError(f"chunk {file.name} of {file.parent.name}: {error}") from None
        if not reader.eof and len(data) <= size:
            data += reader.flush()  # gzip's checksum may still wait
        if not reader.eof or reader.unused_data:
            raise ValueError(f"chunk {file.name} of {file.parent.name} is cut off, or longer than it should be")
    if len(data) != size:
        raise ValueError(f"chunk {file.name} of {file.parent.name} has {len(data)} bytes instead of {size}")
    return np.frombuffer(data, meta.dtype).reshape(meta.chunks, order=meta.order)
