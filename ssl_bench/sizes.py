"""Parameters and lengths of vectors of the shipped models, without building networks. Imports no torch.

``model_zoo/sizes.json`` is generated: ``python -m ssl_bench.backbones.measure``.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from ssl_bench.cards import ModelCard
from ssl_bench.paths import shipped


def parameters_of(card: ModelCard) -> int | None:
    """Number of parameters of the backbone; None for models that are not shipped."""
    count: int | None = _size(card).get("parameters")
    return count


def lengths_of(card: ModelCard) -> dict[str, int]:
    """Numbers in the model's vector (``default``), and for protocols that the card gives another vector."""
    lengths: dict[str, int] = _size(card).get("lengths", {})
    return lengths


def _size(card: ModelCard) -> dict[str, Any]:
    """A user's card may have the name of a shipped model without being it: then nothing is known."""
    own = card.folder is None or card.folder == shipped("model_zoo").resolve()
    return _sizes().get(card.name, {}) if own else {}


@lru_cache(maxsize=1)
def _sizes() -> dict[str, dict[str, Any]]:
    path = shipped("model_zoo") / "sizes.json"
    sizes: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return sizes
