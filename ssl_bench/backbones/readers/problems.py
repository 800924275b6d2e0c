"""The same words for the same problem, whichever reader meets it."""

from __future__ import annotations

from pathlib import Path

from ssl_bench.errors import CheckpointError

AGAIN = "Delete it and fetch it again, or give another copy with --weights."


def damaged(path: Path, why: object) -> CheckpointError:
    """The file is not what it should be inside: cut off, overwritten, of another kind than its first bytes say."""
    reason = (str(why).strip().splitlines() or [type(why).__name__])[0].rstrip(".")
    size = f" ({path.stat().st_size:,} bytes)" if path.is_file() else ""
    return CheckpointError(f"{path}{size} is damaged or cut off: {reason}.", AGAIN)


def forbidden(path: Path, name: str) -> CheckpointError:
    """A pickle names a function or class that no reader makes."""
    return CheckpointError(
        f"{path} was not opened: it asks to run {name}, and a checkpoint must hold data only.",
        "It may be malicious. If you trust it, save its tensors as .safetensors elsewhere and give that file.",
    )
