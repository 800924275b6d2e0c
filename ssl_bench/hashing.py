"""sha256 of files. Imports no torch."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ssl_bench.progress import Progress, Silent


def sha256_of_file(path: Path, progress: Progress | None = None) -> str:
    """sha256 of the file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file, (progress or Silent()).bar(f"check {path.name}", path.stat().st_size) as advance:
        while block := file.read(1 << 22):
            digest.update(block)
            advance(len(block))
    return digest.hexdigest()
