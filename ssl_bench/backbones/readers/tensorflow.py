"""TensorFlow checkpoints, without TensorFlow: ``<prefix>.index`` and ``<prefix>.data-00000-of-00001`` (and so on).

The index maps a variable's name to a BundleEntryProto: type, shape, and which bytes of which data file (source:
``tensorflow/core/protobuf/tensor_bundle.proto``). TF-1 savers, ``tf.train.Checkpoint`` and SavedModels' ``variables/``
write the same format. Version 1 of it (one file, before 2017) is another one and not read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ssl_bench.backbones.readers.leveldb_table import masked_crc32c, read_table, varint
from ssl_bench.backbones.readers.problems import damaged
from ssl_bench.errors import CheckpointError

TYPES: Mapping[int, torch.dtype] = {
    1: torch.float32,
    2: torch.float64,
    3: torch.int32,
    4: torch.uint8,
    5: torch.int16,
    6: torch.int8,
    9: torch.int64,
    10: torch.bool,
    14: torch.bfloat16,
    19: torch.float16,
}
"""DataType of ``tensorflow/core/framework/types.proto`` -> ours. Others (text: the object graph of TF 2) are left out."""

SMALL = 1024
"""Bytes of the tensors whose checksum is compared."""

_DATA = re.compile(r"\.(data-\d{5}-of-\d{5}|meta)$")


def names_one(path: Path) -> bool:
    """Whether the path is one of a TensorFlow checkpoint's files, or the prefix of their names."""
    if path.is_file():
        return path.suffix == ".index" or bool(_DATA.search(path.name))
    return path.with_name(f"{path.name}.index").is_file()


def read(path: Path, mmap: bool = True) -> dict[str, torch.Tensor]:
    """Name of the variable -> tensor. ``mmap``: they stay in the data files until they are used.

    Checked are the checksums of the index's blocks, that every data file is there, that each tensor's bytes lie in it and
    are as many as its shape says, and the checksums of tensors up to ``SMALL`` bytes, which tell an index and data of two
    models apart. Larger tensors' bytes are not: CRC-32C in Python would take minutes. Raises :class:`CheckpointError`.
    """
    if _DATA.search(path.name):
        raise CheckpointError(
            f"{path.name} is one of the several files of a TensorFlow checkpoint.",
            f"Give {path.with_name(_DATA.sub('.index', path.name))}, with the other files beside it.",
        )
    index = path if path.suffix == ".index" else path.with_name(f"{path.name}.index")
    try:
        table = dict(read_table(index.read_bytes()))
        shards = _shards(table.pop(b"", b""))
        entries = {key.decode(): _entry(value) for key, value in table.items()}
    except (ValueError, IndexError, OSError) as error:
        raise damaged(index, error) from None
    files = [index.with_name(f"{index.stem}.data-{i:05d}-of-{shards:05d}") for i in range(shards)]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise CheckpointError(
            f"{index} needs {shards} data file{'s' * (shards > 1)} beside it; {missing[0]} is missing.",
            "A TensorFlow checkpoint is several files, which must all be fetched and stay together.",
        )
    data = [_bytes(file, mmap) for file in files]
    return {name: _tensor(name, entry, data, files) for name, entry in entries.items() if entry.type}


class _Entry(NamedTuple):
    """``type``: None for one that is not read here. ``crc``: masked CRC-32C of the bytes."""

    type: torch.dtype | None
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int


def _shards(header: bytes) -> int:
    """Number of data files, from the BundleHeaderProto under the empty key."""
    fields = dict(_fields(header))
    if fields.get(2, 0) != 0:
        raise ValueError("it was written on a big-endian machine, which is not read here")
    shards = fields.get(1, 0)
    if not isinstance(shards, int) or not 1 <= shards <= 99999:
        raise ValueError("it does not say how many data files there are")
    return shards


def _entry(message: bytes) -> _Entry:
    """A BundleEntryProto."""
    shape: list[int] = []
    number = {1: 0, 3: 0, 4: 0, 5: 0, 6: 0}
    for field, value in _fields(message):
        if field == 2 and isinstance(value, bytes):  # TensorShapeProto: dim (2), each with its size (1)
            dims = [inner for at, inner in _fields(value) if at == 2 and isinstance(inner, bytes)]
            shape = [size for dim in dims for size in [dict(_fields(dim)).get(1, 0)] if isinstance(size, int)]
        elif field == 7:
            raise ValueError("a variable is stored in slices, which are not put together here")
        elif field in number and isinstance(value, int):
            number[field] = value
    return _Entry(TYPES.get(number[1]), tuple(shape), number[3], number[4], number[5], number[6])


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of every field of a protocol buffer (protobuf.dev/programming-guides/encoding)."""
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        kind, size = tag & 7, 0
        if kind == 0:
            value, at = varint(message, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, at = varint(message, at)
        elif kind in {1, 5}:
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a message has a field of kind {kind}")
        inner = message[at : at + size]
        if len(inner) != size:
            raise ValueError("a message is cut off")
        yield tag >> 3, inner if kind == 2 else int.from_bytes(inner, "little")
        at += size


def _bytes(file: Path, mmap: bool) -> np.ndarray:
    """The file's content; mapped, a change in memory stays there."""
    if mmap and file.stat().st_size:
        return np.memmap(file, dtype=np.uint8, mode="c")
    return np.fromfile(file, dtype=np.uint8)


def _tensor(name: str, entry: _Entry, data: list[np.ndarray], files: list[Path]) -> torch.Tensor:
    assert entry.type is not None
    if entry.shard >= len(files):
        raise damaged(files[0], f"{name} is said to be in data file {entry.shard} of {len(files)}")
    source, file = data[entry.shard], files[entry.shard]
    if entry.size != math.prod(entry.shape) * entry.type.itemsize:
        raise damaged(file, f"{name} of shape {entry.shape} is said to have {entry.size} bytes")
    if entry.offset + entry.size > len(source):
        raise damaged(file, f"{name} should end at byte {entry.offset + entry.size:,}")
    part = source[entry.offset : entry.offset + entry.size]
    if entry.size <= SMALL and masked_crc32c(part.tobytes()) != entry.crc:
        raise damaged(file, f"{name} has a wrong checksum; is this the data of another checkpoint than the index's")
    if not entry.size:
        return torch.empty(entry.shape, dtype=entry.type)
    if entry.offset % entry.type.itemsize:
        part = part.copy()
    return torch.frombuffer(part, dtype=entry.type).view(entry.shape)
