"""Open a checkpoint without ever running code from it: one file for each format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ssl_bench.backbones.readers import (
    archive,
    arrays,
    old_torch,
    plain_pickle,
    t5x,
    tensorflow,
    torch_file,
    torchscript,
)
from ssl_bench.backbones.readers.files import checkpoint_files, sha256_of_checkpoint, sha256_of_tensors
from ssl_bench.backbones.readers.folder import checkpoint_in
from ssl_bench.backbones.readers.problems import AGAIN
from ssl_bench.errors import CheckpointError


def open_checkpoint(path: Path) -> Any:
    """The content of a checkpoint, on the CPU: mappings, lists, plain values and tensors.

    A file of torch (any age; of TorchScript the tensors), safetensors or ``.npz``, told apart by its first bytes; a
    TensorFlow checkpoint, by its prefix or its ``.index``; a pickle of arrays (BYOL); the folder of a T5X checkpoint; a
    ``.zip`` or ``.tar.gz`` that holds one of these; a folder that does. Raises :class:`CheckpointError` with one message
    for what is missing, damaged, cut off, of another kind, or asks for code to be run.
    """
    return _open(path, mmap=True)


def _open(path: Path, mmap: bool) -> Any:
    """``mmap``: the tensors may stay in the file until they are used."""
    if path.is_dir():
        of_t5x = t5x.folder_in(path)
        return t5x.read(of_t5x) if of_t5x else _open(checkpoint_in(path), mmap)
    if tensorflow.names_one(path):
        return tensorflow.read(path, mmap)
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
        return _open_zip(path, mmap)
    if head[:2] == b"\x1f\x8b":
        return _open_archive(path)
    if head[:1] == b"\x80":
        return torch_file.read(path, mmap=False) if old_torch.is_one(head) else plain_pickle.read(path)
    raise CheckpointError(
        f"{path} is no checkpoint of torch, TensorFlow, safetensors or numpy (it begins with {head[:8]!r}).", AGAIN
    )


def _open_zip(path: Path, mmap: bool) -> Any:
    """Modern torch files and ``.npz`` are zip files themselves."""
    names = archive.zip_names(path, check=False)
    is_torch = any(name.split("/")[-1] == "data.pkl" and name.count("/") < 2 for name in names)
    if not is_torch and not names[0].endswith(".npy"):
        return _open_archive(path)
    archive.zip_names(path)
    if torchscript.is_one(names):
        return torchscript.read(path)
    return torch_file.read(path, mmap) if is_torch else arrays.read_npz(path)


def _open_archive(path: Path) -> Any:
    """The checkpoint inside, all of it in memory before the files go."""
    with archive.unpacked(path) as folder:
        try:
            return _open(folder, mmap=False)
        except CheckpointError as error:
            raise CheckpointError(error.message.replace(str(folder), str(path)), error.hint) from None


def _head(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(64)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror}.", "Check the path given to --weights."
        ) from None


__all__ = ["checkpoint_files", "open_checkpoint", "sha256_of_checkpoint", "sha256_of_tensors"]
