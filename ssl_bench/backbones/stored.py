"""Where the file of a card can be had, and whether it is on this machine already. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ssl_bench.backbones.pins import Pins
from ssl_bench.cards import ModelCard
from ssl_bench.hashing import sha256_of_file
from ssl_bench.paths import cache_root
from ssl_bench.progress import Progress


@dataclass(frozen=True)
class Stored:
    """A checkpoint on this machine: its address (None: a file beside its card) and the sha256 that it must have."""

    path: Path
    url: str | None
    sha256: str | None

    def state(self, progress: Progress | None = None) -> str:
        """Whether the file is the pinned one; reads all of it."""
        if self.sha256 is None:
            return "not pinned yet: the first load pins it"
        if sha256_of_file(self.path, progress) == self.sha256:
            return "verified: sha256 as pinned"
        return "CHANGED: its sha256 is not the pinned one"


def pins_of(cache: Path | None = None) -> Pins:
    """The lock file of the cache's checkpoints."""
    return Pins(cache_root(cache) / "checkpoints")


def kind_of(card: ModelCard) -> str:
    """How the weights can be had: url, file (beside the card), by hand, unreleased, timm, or none (untrained)."""
    weights = card.weights
    if weights is None:
        return "none"
    if weights.path:
        return "file"
    if weights.url:
        return "url"
    if weights.unreleased:
        return "unreleased"
    return "timm" if weights.layout == "timm" else "by hand"


def addresses(card: ModelCard) -> dict[str, str | None]:
    """Every address of the card -> the sha256 that the card pins for it."""
    if card.weights is None:
        return {}
    found: dict[str, str | None] = dict.fromkeys(card.weights.others.values())
    return ({card.weights.url: card.weights.sha256} if card.weights.url else {}) | found


def stored(card: ModelCard, pins: Pins) -> Stored | None:
    """The card's file, if it is here: beside the card, else the first of its addresses that is in the cache."""
    if card.weights is not None and card.weights.path is not None:
        path = (card.folder or Path()) / card.weights.path
        return Stored(path, None, card.weights.sha256) if path.is_file() else None
    for url, sha256 in addresses(card).items():
        path = pins.folder / pins.file_name(url)
        if path.is_file():
            return Stored(path, url, sha256 or pins.sha256(url))
    return None
