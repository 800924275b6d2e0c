"""ssl-bench: evaluation harness and leaderboard for self-supervised vision models.

The public names below are imported when they are first used, so that ``import ssl_bench`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ssl_bench._version import __version__

if TYPE_CHECKING:
    from ssl_bench.api import evaluate_features, load_dataset, load_method, load_model, run, train
    from ssl_bench.backbones.backbone import Backbone, Layer
    from ssl_bench.compute import Compute
    from ssl_bench.data.dataset import Dataset, Split
    from ssl_bench.data.features import Features
    from ssl_bench.errors import SslBenchError
    from ssl_bench.methods.method import Method
    from ssl_bench.plugins import dataset, method, model, protocol
    from ssl_bench.protocols.protocol import FeatureProtocol, Outcome, Predictions, Protocol
    from ssl_bench.reporting.export.frame import results
    from ssl_bench.results.record import Record
    from ssl_bench.settings import Settings

_HOMES = {
    "ssl_bench.api": ("evaluate_features", "load_dataset", "load_method", "load_model", "run", "train"),
    "ssl_bench.backbones.backbone": ("Backbone", "Layer"),
    "ssl_bench.compute": ("Compute",),
    "ssl_bench.data.dataset": ("Dataset", "Split"),
    "ssl_bench.data.features": ("Features",),
    "ssl_bench.errors": ("SslBenchError",),
    "ssl_bench.methods.method": ("Method",),
    "ssl_bench.plugins": ("dataset", "method", "model", "protocol"),
    "ssl_bench.protocols.protocol": ("FeatureProtocol", "Outcome", "Predictions", "Protocol"),
    "ssl_bench.results.record": ("Record",),
    "ssl_bench.settings": ("Settings",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Backbone",
    "Compute",
    "Dataset",
    "FeatureProtocol",
    "Features",
    "Layer",
    "Method",
    "Outcome",
    "Predictions",
    "Protocol",
    "Record",
    "Settings",
    "Split",
    "SslBenchError",
    "__version__",
    "dataset",
    "evaluate_features",
    "load_dataset",
    "load_method",
    "load_model",
    "method",
    "model",
    "protocol",
    "results",
    "run",
    "train",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "results":  # also the name of a package, which can be called
        return import_module("ssl_bench.results")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'ssl_bench' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
