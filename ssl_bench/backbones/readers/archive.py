"""Checkpoints published in a ``.zip`` or ``.tar.gz``: unpacked into a temporary folder, with nothing outside it touched."""

from __future__ import annotations

import gzip
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO

from ssl_bench.backbones.readers.problems import AGAIN, damaged
from ssl_bench.errors import CheckpointError

RATIO = 100
"""An archive may unpack to this many times its own size (and a megabyte); weights hardly shrink at all."""

_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
)
"""What Python's readers raise for archives that are cut off, encrypted, or packed in a way that they do not know."""


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The files of the archive, in a folder that is gone afterwards.

    Raises :class:`CheckpointError` for an archive that is damaged, that unpacks to over ``RATIO`` times its size, or
    that holds anything but plain files and folders below its own top (links, devices, absolute names, ``..``).
    """
    with TemporaryDirectory(prefix="ssl-bench-") as folder:
        try:
            for name, size, opened in _members(path):
                _unpack(path, Path(folder), name, size, opened)
        except _BROKEN as error:
            raise damaged(path, error) from None
        except OSError as error:
            if isinstance(error, CheckpointError) or error.errno is None:  # gzip's own error has no number
                raise damaged(path, error) from None
            raise CheckpointError(
                f"{path} cannot be unpacked into {folder}: {error.strerror}.", "Free some space, or set TMPDIR."
            ) from None
        yield Path(folder)


def is_zip(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"PK"


def zip_names(path: Path, check: bool = True) -> list[str]:
    """Names in a zip archive whose table of contents is whole and, with ``check``, whose checksums are right."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _bounded(path, sum(entry.file_size for entry in entries))
            wrong = archive.testzip() if check else None
    except (*_BROKEN, OSError) as error:
        raise damaged(path, error) from None
    if wrong or not entries:
        raise damaged(path, f"wrong checksum of {wrong}" if wrong else "empty archive")
    return [entry.filename for entry in entries]


Member = tuple[str, int, Callable[[], IO[bytes] | None]]
"""Name, size in bytes, and how to read it."""


def _members(path: Path) -> Iterator[Member]:
    """Every file of the archive; anything that is neither a file nor a folder is an error."""
    unpacks_to = 0
    if is_zip(path):
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                kind = stat.S_IFMT(entry.external_attr >> 16)
                _only_files(path, entry.filename, kind in {0, stat.S_IFREG, stat.S_IFDIR})
                unpacks_to = _bounded(path, unpacks_to + entry.file_size)
                if not entry.is_dir():
                    yield entry.filename, entry.file_size, lambda entry=entry: archive.open(entry)  # type: ignore[misc]
        return
    with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
        for member in tar:
            _only_files(path, member.name, member.isreg() or member.isdir())
            unpacks_to = _bounded(path, unpacks_to + member.size)
            if member.isreg():
                yield member.name, member.size, lambda member=member: tar.extractfile(member)  # type: ignore[misc]
        while rest := stream.read(1 << 20):  # to the very end, where gzip's checksum of all this is
            unpacks_to = _bounded(path, unpacks_to + len(rest))


def _unpack(path: Path, folder: Path, name: str, size: int, opened: Callable[[], IO[bytes] | None]) -> None:
    parts = PurePosixPath(name).parts
    _only_files(path, name, bool(parts) and not {"..", "/"} & set(parts) and not set(name) & set("\\:\0"))
    target = folder.joinpath(*parts)
    _only_files(path, name, not target.exists())
    target.parent.mkdir(parents=True, exist_ok=True)
    source = opened()
    assert source is not None  # a plain file
    with source, open(target, "wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    if target.stat().st_size != size:
        raise EOFError(f"{name} is cut off")


def _only_files(path: Path, name: str, good: bool) -> None:
    if not good:
        raise CheckpointError(
            f"{path} was not unpacked: its entry {name!r} is no plain file below the archive's own top.",
            "It may be malicious. If you trust it, unpack it elsewhere and give the checkpoint inside with --weights.",
        )


def _bounded(path: Path, unpacks_to: int) -> int:
    if unpacks_to > RATIO * path.stat().st_size + (1 << 20):
        raise CheckpointError(f"{path} unpacks to over {RATIO} times its size: it is not opened.", AGAIN)
    return unpacks_to
