"""What this machine can run: libraries, devices, folders, data sets, plugins."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from pathlib import Path

import torch

from ssl_bench._version import __version__
from ssl_bench.cards import DatasetCard
from ssl_bench.data.builders import load_dataset
from ssl_bench.errors import SslBenchError
from ssl_bench.paths import cache_root
from ssl_bench.registry import registry

LIBRARIES = ("torch", "torchvision", "timm", "faiss-gpu", "faiss-cpu", "scikit-learn", "safetensors", "numpy", "pillow")
EXTRAS = {"slurm": "submitit"}

Row = dict[str, str]


def findings(data: Path, results: Path) -> list[Row]:
    """Rows of (what, state); nothing is downloaded or written."""
    return [
        {"what": "ssl-bench", "state": f"{__version__} on Python {platform.python_version()}"},
        *({"what": name, "state": version} for name in LIBRARIES if (version := _version(name))),
        *({"what": f"extra {name}", "state": _extra(module, name)} for name, module in EXTRAS.items()),
        {"what": "devices", "state": _devices()},
        *({"what": what, "state": _folder(path)} for what, path in _folders(data, results).items()),
        *({"what": f"data {name}", "state": _dataset(name, data)} for name in registry().datasets),
        *({"what": "plugin", "state": origin} for origin in registry().plugins),
        *({"what": "plugin", "state": warning} for warning in registry().warnings),
    ]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _extra(module: str, extra: str) -> str:
    return "installed" if importlib.util.find_spec(module) else f"not installed (pip install 'ssl-bench[{extra}]')"


def _devices() -> str:
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    names += ["mps"] if torch.backends.mps.is_available() else []
    return ", ".join([*names, f"cpu ({torch.get_num_threads()} threads of {os.cpu_count()} cores)"])


def _folders(data: Path, results: Path) -> dict[str, Path]:
    return {"data root": data, "cache": cache_root(), "results": results}


def _folder(path: Path) -> str:
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    free = shutil.disk_usage(existing).free / 2**30
    state = "there" if path.is_dir() else "not there yet"
    writable = "" if os.access(existing, os.W_OK) else ", NOT WRITABLE"
    return f"{path} ({state}, {free:.0f} GiB free{writable})"


def _dataset(name: str, root: Path) -> str:
    try:
        data = load_dataset(name, root)
    except SslBenchError as error:
        card = registry().datasets.get(name)
        return f"not there: {error.message}" if isinstance(card, DatasetCard) else f"plugin: {error.message}"
    return f"there: {len(data.train)} train, {len(data.test)} test, {len(data.classes)} classes"
