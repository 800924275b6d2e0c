"""TensorFlow checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ssl_bench.errors import CheckpointError


def names_one(path: Path) -> bool:
    """Whether the path is a TensorFlow checkpoint's index or prefix."""
    return path.suffix == ".index" or (not path.exists() and path.with_name(f"{path.name}.index").is_file())


def read(path: Path) -> Any:
    raise CheckpointError(f"{path}: TensorFlow checkpoints are not read yet.")
