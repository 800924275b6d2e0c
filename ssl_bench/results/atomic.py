"""Files that are there whole or not at all, and system errors of writing as one clear message."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from ssl_bench.errors import StoreError

_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV}
"""What file systems without hard links answer."""


def write_file(path: Path, write: Callable[[IO[bytes]], Any], *, replace: bool, durable: bool = True) -> None:
    """Write to a temporary name in the same folder, flush to disk, then give it the final name.

    ``replace=False``: FileExistsError if that name is taken, also when two processes come at once. ``durable=False``
    does not wait for the disk: for many files that can be made again.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if replace:
            os.replace(temporary, path)
        else:
            _link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        _sync_folder(path.parent)


def write_text(path: Path, text: str, durable: bool = True) -> None:
    """Write or replace a text file; folders are made; :class:`StoreError` if it cannot be done."""
    with explained(path, "Choose another folder with --out."):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, lambda file: file.write(text.encode()), replace=True, durable=durable)


def write_bytes(path: Path, content: bytes) -> None:
    """As :func:`write_text`."""
    with explained(path, "Choose another folder with --out."):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, lambda file: file.write(content), replace=True)


@contextlib.contextmanager
def explained(path: Path, advice: str) -> Iterator[None]:
    """System errors of writing ``path`` as a :class:`StoreError` with the reason and ``advice``."""
    try:
        yield
    except OSError as error:
        reason = {
            errno.ENOSPC: "The disk is full: free some space. ",
            errno.EDQUOT: "Your disk quota is used up: free some space. ",
            errno.EACCES: "You may not write there. ",
            errno.EPERM: "You may not write there. ",
            errno.EROFS: "The file system is read-only. ",
            errno.ENOTDIR: "A file stands where a folder is needed. ",
            errno.EEXIST: "A file stands where a folder is needed. ",
        }.get(error.errno or 0, "")
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}.", reason + advice) from error


def _link(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            raise FileExistsError(errno.EEXIST, "exists already", str(path)) from None
        os.replace(temporary, path)


def _sync_folder(folder: Path) -> None:
    """The new name on disk too, where the system can do that (Windows cannot)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
