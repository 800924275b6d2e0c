"""What kind of file is this? Tries every layout, and every network that it can think of, by names and shapes only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ssl_bench.backbones.fit import Fit, fit, skeleton, without_values
from ssl_bench.backbones.guess_arch import Network, guess_network
from ssl_bench.backbones.layouts import LAYOUTS, Layout, Tensors, convert
from ssl_bench.cards import ModelCard
from ssl_bench.errors import SslBenchError
from ssl_bench.registry import registry
from ssl_bench.sizes import parameters_of

_FOREIGN = (SslBenchError, KeyError, IndexError, ValueError, TypeError, AttributeError, RuntimeError, AssertionError)
"""What a layout's functions may raise on a file that they were not written for."""


@dataclass(frozen=True)
class Guess:
    """A layout and a network, how the file fits them, and ``card``: a model here that has both."""

    layout: str
    arch: str
    arch_args: Mapping[str, Any]
    fit: Fit
    used: int
    """How many of the layout's own rules the file needs: the more, the surer the layout."""
    card: ModelCard | None = None

    @property
    def like(self) -> ModelCard | None:
        """``card``, if the layout is more than bare names, which are everybody's."""
        return self.card if self.used else None

    @property
    def exact(self) -> bool:
        return not self.fit.problems


def guess_layouts(content: Any, arch: str, arch_args: Mapping[str, Any]) -> list[Guess]:
    """Layouts by which a checkpoint's content fits this network, best first; where none fits, the nearest."""
    shapes = without_values(content)
    return _ranked(
        Guess(name, arch, arch_args, found, _used(shapes, layout))
        for name, layout in LAYOUTS.items()
        if (found := _try(shapes, layout, arch, arch_args)) is not None
    )


def guess(content: Any) -> list[Guess]:
    """Layouts and networks that fit a checkpoint's content, best first; where none fits, the nearest.

    Networks: those of the cards here, and plain ViTs and ResNets read off the names and shapes.
    """
    shapes = without_values(content)
    found = [*_as_a_card(shapes, _numbers(content)), *_by_shapes(shapes)]
    return _ranked(found)


def same_tensors(content: Any, one: Guess, other: Guess) -> bool:
    """Whether two guesses of one network take the same values from the file."""
    if (one.arch, one.arch_args) != (other.arch, other.arch_args):
        return False
    network = skeleton(one.arch, one.arch_args)
    first, second = (convert(content, LAYOUTS[guess.layout], network) for guess in (one, other))
    return first.keys() == second.keys() and all(_same(first[name], second[name]) for name in first)


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """The same memory needs no reading."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    in_place = not one.is_meta and one.data_ptr() == other.data_ptr() and one.stride() == other.stride()
    return one is other or in_place or torch.equal(one, other)


def _as_a_card(shapes: Any, numbers: int) -> Iterator[Guess]:
    """The pairs of layout and network that cards have. Networks that are larger than the file are left out, but for what files
    leave out themselves (biases of keys that are zero, fixed positions)."""
    known, tried = registry().models, set()
    for card in (known.get(name) for name in known):
        if not isinstance(card, ModelCard) or card.weights is None or (parameters_of(card) or 0) > 1.05 * numbers:
            continue
        pair = (card.weights.layout, card.arch, json.dumps(card.arch_args, sort_keys=True))
        layout = LAYOUTS.get(card.weights.layout)
        if pair in tried or layout is None:
            continue
        tried.add(pair)
        found = _try(shapes, layout, card.arch, card.arch_args)
        if found is not None:
            yield Guess(card.weights.layout, card.arch, card.arch_args, found, _used(shapes, layout), card)


def _by_shapes(shapes: Any) -> Iterator[Guess]:
    for name, layout in LAYOUTS.items():
        network = _network(shapes, layout)
        if network is None:
            continue
        arch, arch_args = network
        found = _try(shapes, layout, arch, arch_args)
        if found is not None:
            yield Guess(name, arch, arch_args, found, _used(shapes, layout))


def _network(shapes: Any, layout: Layout) -> Network | None:
    """The network that the file's tensors seem to belong to under this layout's names, with the authors' number of heads."""
    try:
        found = guess_network(convert(shapes, layout, nn.Module()))
        if found is None:
            return None
        arch, arch_args = found
        network = skeleton(arch, arch_args)
    except _FOREIGN:
        return None
    width: Any = getattr(network, "embed_dim", None)
    blocks: Any = getattr(network, "blocks", None)
    heads = layout.heads.get(width)
    if heads and blocks is not None and heads != blocks[0].attn.num_heads:
        arch_args = {**arch_args, "num_heads": heads}
    return arch, arch_args


def _try(shapes: Any, layout: Layout, arch: str, arch_args: Mapping[str, Any]) -> Fit | None:
    try:
        return fit(shapes, layout, skeleton(arch, arch_args), arch)
    except _FOREIGN:
        return None


def _ranked(found: Iterable[Guess]) -> list[Guess]:
    """Whole fits first, then by the share that fits; then what takes more of the file, the layout that explains more of it, one
    that a card here has with this network, the plainer network, and the order of ``LAYOUTS`` (standard ones first)."""
    order = {name: place for place, name in enumerate(LAYOUTS)}

    def key(guess: Guess) -> tuple[Any, ...]:
        fits = (not guess.exact, -guess.fit.share, -guess.fit.good)
        return (*fits, -guess.used, guess.like is None, len(guess.arch_args), order[guess.layout])

    return sorted((guess for guess in found if guess.fit.good), key=key)


def _used(shapes: Any, layout: Layout) -> int:
    """How many of the layout's rules do something to this file."""
    tensors = _start(shapes, layout)
    names = list(tensors)
    used = int(layout.extract is not None) + int(bool(tensors) and _nested(shapes, layout))
    used += sum(any(re.search(pattern, name) for name in names) for pattern in layout.drop)
    prefix = next((p for p in layout.prefixes if any(name.startswith(p) for name in names)), "")
    used += bool(prefix)
    names = [name.removeprefix(prefix) for name in names]
    return used + sum(any(re.search(pattern, name) for name in names) for pattern, _ in layout.rename)


def _start(shapes: Any, layout: Layout) -> Tensors:
    """The tensors before anything is dropped or renamed."""
    try:
        return convert(shapes, Layout(unwrap=layout.unwrap, extract=layout.extract), nn.Module())
    except _FOREIGN:
        return {}


def _nested(shapes: Any, layout: Layout) -> bool:
    """Whether the tensors lie under one of the layout's keys, and not at the top."""
    return any(_inner(shapes, key) for key in layout.unwrap)


def _inner(content: Any, path: str) -> Any:
    for key in path.split("."):
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def _numbers(content: Any) -> int:
    """How many numbers all tensors of a file have together."""
    if isinstance(content, torch.Tensor):
        return content.numel()
    if isinstance(content, Mapping):
        return sum(_numbers(value) for value in content.values())
    return sum(_numbers(value) for value in content) if isinstance(content, (list, tuple)) else 0
