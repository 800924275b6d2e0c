"""Bring a checkpoint onto this machine: once, whole, and the same every time."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from ssl_bench._version import __version__
from ssl_bench.backbones.pins import Pins
from ssl_bench.errors import CheckpointError, StoreError
from ssl_bench.hashing import sha256_of_file
from ssl_bench.progress import Progress, Silent

ATTEMPTS = 5
TIMEOUT = 30.0
_FAILURES = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError)
_LOCAL = {"localhost", "127.0.0.1", "::1"}


def offline() -> bool:
    """Whether the user forbids the network: ``SSL_BENCH_OFFLINE`` or ``HF_HUB_OFFLINE``."""
    values = (os.environ.get(name, "") for name in ("SSL_BENCH_OFFLINE", "HF_HUB_OFFLINE"))
    return any(value.lower() not in {"", "0", "false", "no", "off"} for value in values)


def fetch(
    url: str,
    folder: Path,
    progress: Progress | None = None,
    *,
    sha256: str | None = None,
    download: bool = True,
    wait: Callable[[float], None] = time.sleep,
) -> tuple[Path, str]:
    """The file at ``url``, in ``folder``, and its sha256.

    A file that is there already (downloaded before, or put there by hand under the URL's own name) is used without
    network. ``sha256``: of the card; without it the hash is pinned in ``lock.json`` at first use. A file whose hash is
    another than the pinned one is never used. ``download=False``: only look.
    """
    pins = Pins(folder)
    path = folder / pins.file_name(url)
    if not path.is_file():
        _allow(url, path, download)
        _download(url, path, progress or Silent(), wait)
    found = sha256_of_file(path, progress)
    expected = sha256 or pins.sha256(url)
    if expected is None:
        pins.add(url, path.name, found)
    elif found != expected:
        where = "the model's card" if sha256 else str(pins.path)
        raise CheckpointError(
            f"{path} has sha256 {found}, but {where} pins {expected} for {url}.",
            "The file was damaged or replaced, or its authors changed it. Delete it to fetch it again"
            + ("." if sha256 else "; if you trust the new file, delete its entry in lock.json too."),
        )
    return path, found


def _allow(url: str, path: Path, download: bool) -> None:
    parts = urllib.parse.urlsplit(url)
    place = f"Put the file at {path}, or give your own copy with --weights PATH."
    if parts.scheme not in {"http", "https"}:
        raise CheckpointError(f"{url}: only http and https addresses can be fetched.", place)
    if not download:
        raise CheckpointError(f"The checkpoint of {url} is not on this machine.", place)
    if offline() and parts.hostname not in _LOCAL:
        raise CheckpointError(f"{url} is not fetched: SSL_BENCH_OFFLINE or HF_HUB_OFFLINE forbids the network.", place)


def _download(url: str, path: Path, progress: Progress, wait: Callable[[float], None]) -> None:
    """Fetch into ``<name>.part``, going on where an interrupted download stopped, and rename it when it is whole."""
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with Pins(path.parent).alone():
            if path.is_file():  # another process has fetched it while we waited
                return
            for attempt in range(ATTEMPTS):
                before = _size(part)
                try:
                    _transfer(url, part, progress)
                    break
                except _FAILURES as error:
                    if attempt == ATTEMPTS - 1 or (_hopeless(error) and _size(part) == before):
                        raise _unreachable(url, path, error) from None
                    progress.note(f"{url}: {_reason(error)}; trying again.")
                    wait(2.0**attempt)
            os.replace(part, path)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror or error}.", "Free some space, or set SSL_BENCH_CACHE."
        ) from None


def _transfer(url: str, part: Path, progress: Progress) -> None:
    """One request for what is missing; raises ``http.client.IncompleteRead`` if the server stops early."""
    start = _size(part)
    version = part.with_name(f"{part.name}.version")
    request = urllib.request.Request(url, headers={"User-Agent": f"ssl-bench/{__version__}"})
    if start:
        request.add_header("Range", f"bytes={start}-")
        if version.is_file():
            request.add_header("If-Range", version.read_text())
    with _open(request, part) as reply:
        resumed = reply.status == 206 and reply.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        start = start if resumed else 0
        # A strong ETag (or the date) tells whether the rest still belongs to the same file.
        tag = reply.headers.get("ETag", "")
        tag = tag if tag and not tag.startswith("W/") else reply.headers.get("Last-Modified", "")
        if tag:
            version.write_text(tag)
        else:
            version.unlink(missing_ok=True)
        length = reply.headers.get("Content-Length")
        total = start + int(length) if length else 0
        with (
            open(part, "ab" if resumed else "wb") as file,
            progress.bar(f"fetch {url.rsplit('/', 1)[-1]}", total) as advance,
        ):
            advance(start)
            while block := reply.read(1 << 18):
                file.write(block)
                advance(len(block))
    if total and _size(part) != total:
        raise http.client.IncompleteRead(b"", total - _size(part))
    version.unlink(missing_ok=True)


def _open(request: urllib.request.Request, part: Path) -> http.client.HTTPResponse:
    """Through the user's proxy, except to this machine."""
    host = urllib.parse.urlsplit(request.full_url).hostname
    handlers = [urllib.request.ProxyHandler({})] if host in _LOCAL else []
    try:
        reply: http.client.HTTPResponse = urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # what we have is no beginning of the server's file (any more)
            part.unlink(missing_ok=True)
        error.close()
        raise
    return reply


def _hopeless(error: Exception) -> bool:
    """Whether another try cannot help: the address is wrong, or there is no network at all."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code < 500 and error.code not in {408, 416, 425, 429}
    reason = getattr(error, "reason", None)
    return isinstance(reason, (socket.gaierror, ConnectionRefusedError, ssl.SSLCertVerificationError))


def _unreachable(url: str, path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{url} cannot be fetched: {_reason(error)}.",
        f"Fetch it elsewhere and put it at {path}, or give your copy with --weights PATH. What has arrived is kept.",
    )


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, http.client.IncompleteRead):
        return f"the connection ended {error.expected or '?'} bytes too early"
    return str(getattr(error, "reason", None) or error) or type(error).__name__


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
