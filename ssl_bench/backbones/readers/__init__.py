"""Open a checkpoint without ever running code from it: one file for each format."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from ssl_bench.backbones.readers import arrays, torch_file
from ssl_bench.backbones.readers.files import checkpoint_files, sha256_of_checkpoint, sha256_of_file, sha256_of_tensors
from ssl_bench.backbones.readers.problems import AGAIN, damaged
from ssl_bench.errors import CheckpointError


def open_checkpoint(path: Path) -> Any:
    """The content of a checkpoint, on the CPU: mappings, lists, plain values and tensors.

    A file of torch (any age), safetensors or ``.npz``, told apart by its first bytes. Raises :class:`CheckpointError`
    with one message for a file that is missing, damaged, cut off, of another kind, or that asks for code to be run.
    """
    head = _head(path)
    if not head:
        raise CheckpointError(f"{path} is empty.", AGAIN)
    if head.lstrip()[:1] == b"<":
        raise CheckpointError(
            f"{path} is a web page (HTML or XML), not a checkpoint: the download was answered by one.", AGAIN
        )
    if head[8:9] == b"{":
        return arrays.read_safetensors(path)
    if head[:2] == b"PK":
        names = zip_names(path)
        return arrays.read_npz(path) if names[0].endswith(".npy") else torch_file.read(path, mmap=True)
    if head[:1] == b"\x80":
        return torch_file.read(path, mmap=False)
    raise CheckpointError(
        f"{path} is no checkpoint of torch, safetensors or numpy (it begins with {head[:8]!r}).", AGAIN
    )


def zip_names(path: Path) -> list[str]:
    """Names in a zip archive whose table of contents and checksums are whole; every modern torch file is one."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > 100 * path.stat().st_size + (1 << 20):
                raise CheckpointError(f"{path} unpacks to over 100 times its size: it is not opened.", AGAIN)
            wrong = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise damaged(path, error) from None
    if wrong or not entries:
        raise damaged(path, f"wrong checksum of {wrong}" if wrong else "empty archive")
    return [entry.filename for entry in entries]


def _head(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(64)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror}.", "Check the path given to --weights."
        ) from None


__all__ = ["checkpoint_files", "open_checkpoint", "sha256_of_checkpoint", "sha256_of_file", "sha256_of_tensors"]
