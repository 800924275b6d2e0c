"""Which files make up a checkpoint, and their hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import nn

from ssl_bench.errors import CheckpointError
from ssl_bench.hashing import sha256_of_file
from ssl_bench.progress import Progress


def checkpoint_files(path: Path) -> list[Path]:
    """The files of a checkpoint, sorted: the file itself; all files of a folder (T5X); for TensorFlow, whose checkpoints
    are named by what their files begin with (``model.ckpt-250228``) or by their index file, the index and its data.

    Raises :class:`CheckpointError` if there is none.
    """
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.is_file())
    elif path.suffix == ".index" or (not path.exists() and path.with_name(f"{path.name}.index").is_file()):
        stem = path.name.removesuffix(".index")
        found = [*sorted(path.parent.glob(f"{_literal(stem)}.data-*-of-*")), path.with_name(f"{stem}.index")]
    else:
        found = [path] if path.is_file() else []
    if not found or not all(file.is_file() for file in found):
        raise CheckpointError(f"{path}: there is no such file.", "Check the path given to --weights, or in the card.")
    return found


def sha256_of_checkpoint(path: Path, progress: Progress | None = None) -> str:
    """sha256 of the file's bytes; of several files, sha256 over the lines ``<sha256 of the file>  <its name>``."""
    files = checkpoint_files(path)
    if files == [path]:
        return sha256_of_file(path, progress)
    base = path if path.is_dir() else path.parent
    lines = [f"{sha256_of_file(file, progress)}  {file.relative_to(base).as_posix()}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def sha256_of_tensors(module: nn.Module, label: str) -> str:
    """sha256 over ``label`` and the names, types, shapes and bytes of all tensors."""
    digest = hashlib.sha256(label.encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _literal(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
