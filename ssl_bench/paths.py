"""Where things lie: cards shipped with the package, and the user's data, cache and results folders."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def shipped(folder: str) -> Path:
    """Folder of cards: ``model_zoo``, ``tasks`` or ``published``; inside a wheel, or at the root of a checkout."""
    installed = PACKAGE / "shipped" / folder
    if installed.is_dir():
        return installed
    return PACKAGE.parent / ("results/published" if folder == "published" else folder)


def data_root(given: str | Path | None = None) -> Path:
    """The user's data folder: ``--data-root``, else ``SSL_BENCH_DATA``, else ``./data``."""
    return Path(given or os.environ.get("SSL_BENCH_DATA") or "data").expanduser()


def cache_root(given: str | Path | None = None) -> Path:
    """Checkpoints and features: ``SSL_BENCH_CACHE``, else ``ssl_bench`` in the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "ssl_bench"
    return Path(given or os.environ.get("SSL_BENCH_CACHE") or default).expanduser()


def results_root(given: str | Path | None = None) -> Path:
    """Measured records: ``--results``, else ``SSL_BENCH_RESULTS``, else ``./results/measured``."""
    return Path(given or os.environ.get("SSL_BENCH_RESULTS") or "results/measured").expanduser()
