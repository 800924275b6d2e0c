"""Open a checkpoint without ever running code from it."""

from __future__ import annotations

import argparse
import codecs
import hashlib
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.npyio import NpzFile
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from ssl_bench.errors import CheckpointError
from ssl_bench.progress import Progress, Silent

_MULTIARRAY = "numpy.{}.multiarray.{}"
_AGAIN = "Delete it and fetch it again, or give another copy with --weights."


def open_checkpoint(path: Path) -> Any:
    """The content of a file of torch (any age), safetensors or ``.npz``, told apart by its first bytes, on the CPU.

    Raises :class:`CheckpointError` with one message for a file that is missing, damaged, cut off, of another kind, or
    that asks for code to be run.
    """
    head = _head(path)
    if not head:
        raise CheckpointError(f"{path} is empty.", _AGAIN)
    if head.lstrip()[:1] == b"<":
        raise CheckpointError(
            f"{path} is a web page (HTML or XML), not a checkpoint: the download was answered by one.", _AGAIN
        )
    if head[8:9] == b"{":
        return _open_safetensors(path)
    if head[:2] == b"PK":
        return _open_npz(path) if _names(path)[0].endswith(".npy") else _open_torch(path, mmap=True)
    if head[:1] == b"\x80":
        return _open_torch(path, mmap=False)
    raise CheckpointError(
        f"{path} is no checkpoint of torch, safetensors or numpy (it begins with {head[:8]!r}).", _AGAIN
    )


def sha256_of_file(path: Path, progress: Progress | None = None) -> str:
    """sha256 of the file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file, (progress or Silent()).bar(f"check {path.name}", path.stat().st_size) as advance:
        while block := file.read(1 << 22):
            digest.update(block)
            advance(len(block))
    return digest.hexdigest()


def sha256_of_tensors(module: nn.Module, label: str) -> str:
    """sha256 over ``label`` and the names, types, shapes and bytes of all tensors."""
    digest = hashlib.sha256(label.encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _head(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(64)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror}.", "Check the path given to --weights."
        ) from None


def _open_torch(path: Path, mmap: bool) -> Any:
    try:
        with torch.serialization.safe_globals(allowed_globals()):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL ([\w.]+)", str(error)) or re.search(
            r"([\w]+(?:\.[\w]+)+) was not an allowed", str(error)
        )
        if asked:
            raise CheckpointError(
                f"{path} was not opened: it asks to run {asked[1]}, and a checkpoint must hold data only.",
                "It may be malicious. If you trust it, save its tensors as .safetensors elsewhere and give that file.",
            ) from None
        raise _damaged(path, error) from None
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, OSError) as error:
        raise _damaged(path, error) from None


def _open_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = load_file(path, device="cpu")
    except (SafetensorError, ValueError, OSError) as error:
        raise _damaged(path, error) from None
    return tensors


def _open_npz(path: Path) -> dict[str, torch.Tensor]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            assert isinstance(arrays, NpzFile)
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from None


def _names(path: Path) -> list[str]:
    """Names in a zip archive whose table of contents and checksums are whole; every modern torch file is one."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > 100 * path.stat().st_size + (1 << 20):
                raise CheckpointError(f"{path} unpacks to over 100 times its size: it is not opened.", _AGAIN)
            wrong = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise _damaged(path, error) from None
    if wrong or not entries:
        raise _damaged(path, f"wrong checksum of {wrong}" if wrong else "empty archive")
    return [entry.filename for entry in entries]


def _damaged(path: Path, why: object) -> CheckpointError:
    reason = (str(why).strip().splitlines() or [type(why).__name__])[0].rstrip(".")
    return CheckpointError(f"{path} ({path.stat().st_size:,} bytes) is damaged or cut off: {reason}.", _AGAIN)


def allowed_globals() -> list[Any]:
    """What old checkpoints carry beside tensors: the run's arguments, and numpy scalars and arrays.

    All are plain data. numpy's functions are listed under the module names of numpy 1 and 2, since a file names the
    one that wrote it.
    """
    from numpy._core import multiarray

    functions = [multiarray.scalar, multiarray._reconstruct]
    both = [(f, _MULTIARRAY.format(core, f.__name__)) for f in functions for core in ("core", "_core")]
    dtypes = {type(np.dtype(kind)) for kind in "?bBhHiIlLqQefdgFDSU"}
    return [argparse.Namespace, np.dtype, np.ndarray, codecs.encode, *both, *sorted(dtypes, key=str)]
