"""``lock.json``: which file in the cache is which address's, and the sha256 that it had at first use."""

from __future__ import annotations

import hashlib
import json
import os
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssl_bench.errors import StoreError


class Pins:
    """The lock file of one folder of checkpoints: ``{url: {"file": name, "sha256": hash}}``."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "lock.json"

    def read(self) -> dict[str, dict[str, str]]:
        if not self.path.is_file():
            return {}
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            return {url: {"file": str(pin["file"]), "sha256": str(pin["sha256"])} for url, pin in content.items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise StoreError(
                f"{self.path} cannot be read: {error}.",
                "Restore it, or delete it to pin the files that are there anew.",
            ) from None

    def sha256(self, url: str) -> str | None:
        pin = self.read().get(url)
        return pin["sha256"] if pin else None

    def file_name(self, url: str) -> str:
        """The URL's own file name; with a hash before it where that name is another address's already
        (several methods call their file ``resnet50.pth``)."""
        pins = self.read()
        if url in pins:
            return pins[url]["file"]
        name = urllib.parse.unquote(urllib.parse.urlsplit(url).path).rstrip("/").rpartition("/")[2]
        name = "checkpoint" if name in {"", ".", ".."} else name
        if any(pin["file"] == name for pin in pins.values()):
            return f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{name}"
        return name

    def add(self, url: str, file: str, sha256: str) -> None:
        """Pin, atomically, keeping what another process has pinned meanwhile."""
        temporary = self.path.with_name(f"lock.json.{os.getpid()}")
        try:
            with self.alone():
                pins = {**self.read(), url: {"file": file, "sha256": sha256}}
                temporary.write_text(json.dumps(pins, indent=2, sort_keys=True) + "\n", encoding="utf-8")
                os.replace(temporary, self.path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StoreError(f"{self.path} cannot be written: {error.strerror}.", "Set SSL_BENCH_CACHE.") from None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One process at a time; a process that dies frees the lock."""
        try:
            import fcntl
        except ImportError:  # Windows: downloads of two processes at once are not kept apart there
            yield
            return
        with open(self.folder / ".lock", "w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
