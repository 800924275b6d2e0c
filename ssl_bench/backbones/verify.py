"""Is every checkpoint in the cache whole, unchanged, and does it fit the network of its card?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ssl_bench.backbones.fit import fit, skeleton
from ssl_bench.backbones.layouts import layout_of
from ssl_bench.backbones.pins import Pins
from ssl_bench.backbones.readers import open_checkpoint
from ssl_bench.backbones.stored import addresses, pins_of
from ssl_bench.cache import CacheEntry, entries, problem
from ssl_bench.cards import ModelCard
from ssl_bench.errors import CheckpointError
from ssl_bench.hashing import sha256_of_file
from ssl_bench.progress import Progress
from ssl_bench.registry import registry

State = Literal["ok", "changed", "damaged", "does not fit", "unfinished", "unknown file"]
BAD: set[State] = {"changed", "damaged", "does not fit"}


@dataclass(frozen=True)
class Verdict:
    """About one file; ``models``: whose address it was fetched from."""

    file: str
    models: tuple[str, ...]
    state: State
    about: str

    @property
    def bad(self) -> bool:
        return self.state in BAD


def verify_checkpoints(progress: Progress, cache: Path | None = None) -> list[Verdict]:
    """One verdict for each checkpoint in the cache: its sha256 against ``lock.json`` and the cards, whether it opens, and
    whether it fits, name by name, the network of a card that names its address."""
    files = [entry for entry in entries(cache) if entry.kind == "checkpoint"]
    owners = _owners(pins_of(cache))
    verdicts = []
    with progress.bar("checkpoints", len(files)) as advance:
        for entry in files:
            cards = owners.get(entry.name, [])
            state, about = _judge(entry, cards, progress)
            verdicts.append(Verdict(entry.name, tuple(card.name for card, _ in cards), state, about))
            advance(status=entry.name)
    return verdicts


Owner = tuple[ModelCard, str | None]
"""A card and the sha256 that it pins."""


def _owners(pins: Pins) -> dict[str, list[Owner]]:
    """File in the cache -> the cards one of whose addresses it is."""
    owners: dict[str, list[Owner]] = {}
    known = registry().models
    cards = [card for name in known if isinstance(card := known.get(name), ModelCard)]
    for card in cards:
        for url, sha256 in addresses(card).items():
            owners.setdefault(pins.file_name(url), []).append((card, sha256))
    return owners


def _judge(entry: CacheEntry, owners: Sequence[Owner], progress: Progress) -> tuple[State, str]:
    if entry.about == "unfinished download":
        return "unfinished", "the next load goes on with it"
    if wrong := problem(entry, progress):
        return "changed", wrong
    for card, sha256 in owners:
        if sha256 is not None and sha256_of_file(entry.path, progress) != sha256:
            return "changed", f"sha256 differs from that in the card of {card.name}"
    try:
        content = open_checkpoint(entry.path)
    except CheckpointError as error:
        return "damaged", error.message
    if not owners:
        return "unknown file", "no card names its address"
    found = [_fits(content, card) for card, _ in owners]
    fitting = next((about for ok, about in found if ok), None)
    return ("ok", f"{fitting}, {entry.about}") if fitting else ("does not fit", found[0][1])


def _fits(content: object, card: ModelCard) -> tuple[bool, str]:
    assert card.weights is not None
    found = fit(content, layout_of(card.weights.layout), skeleton(card.arch, card.arch_args), card.name)
    if found.problems:
        return False, f"{found.good} of {found.total} tensors of {card.name} match. {' '.join(found.problems)}"
    return True, f"all {found.total} tensors match"
