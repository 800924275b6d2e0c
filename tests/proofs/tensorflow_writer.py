"""A small writer of TensorFlow checkpoints, from the description of the format and apart from the package's reader.

TensorFlow itself opens what it writes (checked once by hand, with several blocks and data files).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import torch

TYPES = {
    torch.float32: 1,
    torch.float64: 2,
    torch.int32: 3,
    torch.uint8: 4,
    torch.int16: 5,
    torch.int8: 6,
    torch.int64: 9,
    torch.bool: 10,
    torch.bfloat16: 14,
    torch.float16: 19,
}


def save(
    prefix: Path, tensors: Mapping[str, torch.Tensor], *, shards: int = 1, block: int = 4096, restart: int = 16
) -> Path:
    """Write ``<prefix>.index`` and its data files; a tensor goes to data file (position in order of names) % ``shards``.

    ``block``: bytes from which on a block is closed. ``restart``: entries that share the beginning of their keys.
    """
    prefix.parent.mkdir(parents=True, exist_ok=True)
    data = [bytearray() for _ in range(shards)]
    entries = [(b"", b"\x08" + varint(shards) + b"\x1a\x02\x08\x01")]
    for i, (name, tensor) in enumerate(sorted(tensors.items(), key=lambda item: item[0].encode())):
        content = tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        entries.append((name.encode(), entry(tensor, i % shards, len(data[i % shards]), content)))
        data[i % shards] += content
    for i, content in enumerate(data):
        Path(f"{prefix}.data-{i:05d}-of-{shards:05d}").write_bytes(content)
    index = Path(f"{prefix}.index")
    index.write_bytes(table(entries, block, restart))
    return index


def entry(tensor: torch.Tensor, shard: int, offset: int, content: bytes) -> bytes:
    dims = [b"\x08" + varint(size) for size in tensor.shape]
    shape = b"".join(b"\x12" + varint(len(dim)) + dim for dim in dims)
    message = b"\x08" + varint(TYPES[tensor.dtype]) + b"\x12" + varint(len(shape)) + shape
    for field, value in ((3, shard), (4, offset), (5, len(content))):
        message += bytes([field << 3]) + varint(value) if value else b""
    return message + b"\x35" + struct.pack("<I", masked_crc(content))


def table(entries: list[tuple[bytes, bytes]], block: int, restart: int) -> bytes:
    content, index, at = bytearray(), [], 0
    while at < len(entries):
        end, size = at, 0
        while end < len(entries) and (size < block or end == at):
            size += len(entries[end][0]) + len(entries[end][1])
            end += 1
        handle = add_block(content, entries[at:end], restart)
        index.append((entries[end - 1][0], handle))
        at = end
    meta = add_block(content, [], restart)
    footer = meta + add_block(content, index, 1)
    return bytes(content + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57))


def add_block(content: bytearray, entries: list[tuple[bytes, bytes]], restart: int) -> bytes:
    body, restarts, before = bytearray(), [0], b""
    for i, (key, value) in enumerate(entries):
        shared = 0
        if i % restart:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        elif i:
            restarts.append(len(body))
        body += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    body += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))
    handle = varint(len(content)) + varint(len(body))
    content += body + b"\0" + struct.pack("<I", masked_crc(bytes(body) + b"\0"))
    return handle


def varint(number: int) -> bytes:
    digits = []
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])


def masked_crc(content: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ CRC[crc & 0xFF ^ byte]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF


def shifted(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 * (byte & 1))
    return byte


CRC = [shifted(byte) for byte in range(256)]
