"""The table in a TensorFlow checkpoint's ``.index`` file: sorted keys and values in blocks, as LevelDB writes them.

Source: LevelDB's ``doc/table_format.md``, which TensorFlow's ``tsl/lib/io/table`` follows. A block is data, one byte for
its compression, and a masked crc32c of both; its entries share the beginning of their key with the one before. The last
48 bytes say where the index block is, whose values say where the others are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache

FOOTER, MAGIC = 48, 0xDB4775248B80FB57
TRAILER = 5


def read_table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values in order. Raises ``ValueError`` (or ``IndexError``) for a table that is damaged or cut off.

    Every block's checksum is compared, in pure Python: some 5 MB a second, and an index has a few hundred kilobytes.
    """
    if len(content) < FOOTER or int.from_bytes(content[-8:], "little") != MAGIC:
        raise ValueError("it does not end as a TensorFlow index does")
    footer = content[-FOOTER:]
    _, at = _handle(footer, 0)  # of the block of metadata, which is empty
    index, _ = _handle(footer, at)
    for _, value in _entries(_block(content, *index)):
        yield from _entries(_block(content, *_handle(value, 0)[0]))


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The number of 7 bits a byte, lowest first, at ``at``, and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
        if shift > 63:
            raise ValueError("a number is too long")


def masked_crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), rotated and shifted as LevelDB stores it."""
    table, crc = _crc_table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


@cache
def _crc_table() -> list[int]:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Where a block begins and how long its data is; and where this handle ends."""
    start, at = varint(data, at)
    size, at = varint(data, at)
    return (start, size), at


def _block(content: bytes, start: int, size: int) -> bytes:
    whole = content[start : start + size + TRAILER]
    if len(whole) != size + TRAILER:
        raise ValueError("a block is cut off")
    compression, checksum = struct.unpack("<BI", whole[size:])
    if masked_crc32c(whole[: size + 1]) != checksum:
        raise ValueError("a block has a wrong checksum")
    if compression:
        raise ValueError(f"its blocks are compressed (kind {compression}; snappy is 1), which is not read here")
    return whole[:size]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The entries stand before the list of restart points, whose length is the block's last number."""
    end = len(block) - 4 * (1 + int.from_bytes(block[-4:], "little"))
    if end < 0:
        raise ValueError("a block is too short")
    at, key = 0, b""
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        size, at = varint(block, at)
        if shared > len(key) or at + own + size > end:
            raise ValueError("an entry reaches over the end of its block")
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + size]
        at += own + size
