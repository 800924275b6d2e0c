"""Score features that the user brings."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ssl_bench.api import evaluate_features
from ssl_bench.compute import Compute
from ssl_bench.errors import FeatureError
from ssl_bench.protocols.protocol import Outcome
from ssl_bench.registry import registry

ARRAYS = ("train_x", "train_y", "test_x", "test_y")


def read_features(path: Path) -> dict[str, np.ndarray]:
    """The four arrays of a ``.npz`` file; never opens pickled objects."""
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in ARRAYS if name not in file.files]
            if missing:
                raise FeatureError(
                    f"{path}: the arrays {', '.join(missing)} are missing.",
                    f"It has: {', '.join(file.files)}. Needed: {', '.join(ARRAYS)}.",
                )
            return {name: file[name] for name in ARRAYS}
    except FileNotFoundError:
        raise FeatureError(f"{path}: there is no such file.") from None
    except (ValueError, OSError, zipfile.BadZipFile, AttributeError) as error:
        raise FeatureError(
            f"{path}: is no .npz file of plain arrays ({error}).",
            "Write it with numpy.savez(path, train_x=..., train_y=..., test_x=..., test_y=...).",
        ) from None


def score_file(path: Path, protocols: Sequence[str], settings: dict[str, Any], compute: Compute) -> dict[str, Outcome]:
    """Outcome of each protocol on the file's features. ``PROTOCOL.KEY`` settings go to that protocol only."""
    for protocol in protocols:
        registry().protocols.get(protocol)
    arrays = read_features(path)
    train, test = (arrays["train_x"], arrays["train_y"]), (arrays["test_x"], arrays["test_y"])
    outcomes = {}
    with compute.progress.bar("protocols", len(protocols)) as advance:
        for protocol in protocols:
            own = {k.rpartition(".")[2]: v for k, v in settings.items() if k.rpartition(".")[0] in {"", protocol}}
            outcomes[protocol] = evaluate_features(protocol, train, test, compute=compute, **own)
            advance(status=protocol)
    return outcomes
