"""What does not fit between a card and its file, and what the card should say instead: in seconds, before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ssl_bench.backbones import timm_models
from ssl_bench.backbones.fit import Fit, fit, skeleton
from ssl_bench.backbones.guess import Guess, guess, guess_layouts
from ssl_bench.backbones.layouts import layout_of
from ssl_bench.backbones.readers import checkpoint_files, open_checkpoint
from ssl_bench.backbones.suggest import flow
from ssl_bench.backbones.weights import find_weights
from ssl_bench.cards import ModelCard
from ssl_bench.compute import Compute
from ssl_bench.errors import SslBenchError


@dataclass(frozen=True)
class Finding:
    """One thing that was tried. ``problem`` is None when it holds; ``about`` says what was found. Not ``offered``: the model
    does not have it, which is no failure. ``seconds`` it took, where that is worth knowing."""

    what: str
    problem: str | None
    about: str = ""
    offered: bool = True
    seconds: float | None = None

    @property
    def ok(self) -> bool:
        return self.problem is None


def preflight(card: ModelCard, compute: Compute, weights: str | None = None) -> Iterator[Finding]:
    """Does the network exist, is the file there and whole, do its tensors fit, name by name? Values are not looked at.

    Where they do not fit, the problem ends with what the file's names and shapes say that the card should say. A file
    that is not on this machine is fetched, as loading would.
    """
    if card.weights is None or timm_models.is_reference(card.arch):
        return
    network = _network(card)
    yield network
    try:
        found = find_weights(card, weights, compute.cache / "checkpoints", compute.progress, download=True)
        content = open_checkpoint(found[0]) if found else None
    except SslBenchError as error:
        yield Finding("file", str(error))
        return
    if found is None:
        return
    size = sum(file.stat().st_size for file in checkpoint_files(found[0])) / 1e6
    yield Finding("file", None, f"{found[0].name}, {size:.3g} MB")
    yield _tensors(card, content, network.ok)


def _network(card: ModelCard) -> Finding:
    try:
        parameters = sum(p.numel() for p in skeleton(card.arch, card.arch_args).parameters())
    except SslBenchError as error:
        return Finding("network", str(error))
    return Finding("network", None, f"{card.arch}, {parameters / 1e6:.3g} million parameters")


def _tensors(card: ModelCard, content: Any, known_network: bool) -> Finding:
    """Whether they fit; if not, what would."""
    assert card.weights is not None
    if not known_network:
        return Finding("tensors", " ".join(["The network is not known.", *advice(card, content)]))
    try:
        found = fit(content, layout_of(card.weights.layout), skeleton(card.arch, card.arch_args), card.name)
    except SslBenchError as error:
        return Finding("tensors", " ".join([str(error), *advice(card, content)]))
    if not found.problems:
        return Finding("tensors", None, f"all {found.total} match")
    said = advice(card, content) if found.good < found.total else []
    return Finding("tensors", " ".join([_said(found), *said]))


def _said(found: Fit) -> str:
    count = f"{found.good} of {found.total} tensors match. " if found.given else ""
    return count + " ".join(found.problems)


def advice(card: ModelCard, content: Any) -> list[str]:
    """What the card should say for this file: another layout, another network, or what comes nearest."""
    assert card.weights is not None
    try:
        layouts = guess_layouts(content, card.arch, card.arch_args)
    except SslBenchError:
        layouts = []
    if layouts and layouts[0].exact:
        same = layouts[0].layout == card.weights.layout
        return [] if same else [f"This looks like {_kind(layouts[0])} file: write layout: {layouts[0].layout}."]
    guesses = guess(content)
    exact = [found for found in guesses if found.exact]
    if exact:
        best = next((g for g in exact if (g.layout, g.arch) == (card.weights.layout, exact[0].arch)), exact[0])
        change = [] if best.layout == card.weights.layout else [f"layout: {best.layout}"]
        change += [] if best.arch == card.arch else [f"arch: {best.arch}"]
        change += [] if best.arch_args == card.arch_args else [f"arch_args: {flow(best.arch_args)}"]
        kind = f" in {_kind(best)} file" if best.used else ""
        like = f", like those of {best.like.name}" if best.like else ""
        return [f"These are the tensors of {best.arch}{kind}{like}: write {', '.join(change)}."]
    nearest = max([*layouts[:1], *guesses[:1]], key=lambda one: one.fit.share, default=None)
    if nearest is None:
        return ["No layout here finds anything of this network in the file."]
    if (nearest.layout, nearest.arch) == (card.weights.layout, card.arch):
        return []
    return [
        f"Nothing here fits whole; layout: {nearest.layout} with arch: {nearest.arch} comes nearest "
        f"({nearest.fit.good} of {nearest.fit.total} tensors: {' '.join(nearest.fit.problems)})"
    ]


def _kind(found: Guess) -> str:
    """``a moco``, ``an ibot``."""
    return ("an " if found.layout[0] in "aeio" else "a ") + found.layout
