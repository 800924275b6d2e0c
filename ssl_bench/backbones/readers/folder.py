"""Which checkpoint a folder holds: the user's own folder, or an unpacked archive."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ssl_bench.errors import CheckpointError

SUFFIXES = (".index", ".pth", ".pt", ".tar", ".torch", ".bin", ".ckpt", ".pkl", ".safetensors", ".npz")
"""Of files that are checkpoints of their own; ``.index``: TensorFlow's, which stands for its data files too."""


def checkpoint_in(folder: Path) -> Path:
    """The checkpoint nearest to the folder's top: SimCLR's archives also hold a TensorFlow Hub module with a copy of the
    weights, deeper down. A single file needs no known suffix.

    Raises :class:`CheckpointError` if there is none, or if several are equally near.
    """
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and not _litter(file, folder)]
    known = [file for file in files if file.suffix in SUFFIXES] or (files if len(files) == 1 else [])
    found = _nearest(known, folder)
    if len(found) == 1:
        return found[0]
    names = ", ".join(file.relative_to(folder).as_posix() for file in (found or files)[:8]) or "nothing"
    count = f"{len(found)} checkpoints" if found else "no checkpoint that is known here"
    raise CheckpointError(
        f"{folder} holds {count} ({names}).",
        "Give the checkpoint itself with --weights; unpack an archive first."
        if found
        else "Is this the folder, or the archive, that the authors published?",
    )


def _nearest(files: Iterable[Path], folder: Path) -> list[Path]:
    depths = {file: len(file.relative_to(folder).parts) for file in files}
    return [file for file, depth in depths.items() if depth == min(depths.values())]


def _litter(file: Path, folder: Path) -> bool:
    """What operating systems leave in folders and archives."""
    return any(part == "__MACOSX" or part.startswith(".") for part in file.relative_to(folder).parts)
