"""Which code made a result: version, commit, packages, command."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from ssl_bench._version import __version__
from ssl_bench.paths import PACKAGE
from ssl_bench.results.record import Provenance

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "faiss-gpu",
    "faiss-cpu",
    "numpy",
    "scipy",
    "scikit-learn",
    "pillow",
)
"""Packages whose version can move a number."""


def provenance(argv: Sequence[str]) -> Provenance:
    """The code and software of this process, the command ``argv`` as given, and the time (UTC, to the microsecond)."""
    commit, dirty = checkout_state(PACKAGE.parent)
    return Provenance(
        version=__version__,
        commit=commit,
        dirty=dirty,
        packages=installed(PACKAGES),
        python=platform.python_version(),
        argv=tuple(str(part) for part in argv),
        created=datetime.now(UTC).isoformat(),
    )


def installed(names: Sequence[str]) -> dict[str, str]:
    """Versions of those packages that are installed."""
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def checkout_state(folder: Path) -> tuple[str | None, bool | None]:
    """(commit, whether tracked files differ from it) if ``folder`` is the top of a git checkout; else (None, None).

    An installed package is no checkout, even if its environment lies inside somebody else's.
    """
    if not (folder / ".git").exists():
        return None, None
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None, None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return commit, None if changes is None else bool(changes)


def file_state(file: Path) -> tuple[str | None, bool | None]:
    """(commit, whether the repository that ``file`` lies in has changes or does not have the file); (None, None) in none.

    Changes are those of tracked files anywhere in the repository: a plugin may import any of them.
    """
    top = _git(file.resolve().parent, "rev-parse", "--show-toplevel")
    commit = None if top is None else _git(Path(top), "rev-parse", "HEAD")
    if top is None:
        return None, None
    tracked = _git(Path(top), "ls-files", "--error-unmatch", str(file.resolve())) is not None
    changes = _git(Path(top), "status", "--porcelain", "--untracked-files=no")
    return commit, commit is None or not tracked or changes is None or bool(changes)


def environment() -> list[str]:
    """``name==version`` of every installed package, as ``pip freeze`` has it without addresses and paths."""
    found = {(d.metadata["Name"] or "").lower(): d.version for d in metadata.distributions()}
    return [f"{name}=={version}" for name, version in sorted(found.items()) if name]


def _git(folder: Path, *arguments: str) -> str | None:
    """What git answers, or None where there is no git or it refuses (a foreign owner, no commit yet)."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
