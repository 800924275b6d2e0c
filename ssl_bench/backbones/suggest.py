"""A checkpoint without a card -> a card to paste."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ssl_bench.backbones.guess import Guess, guess, guess_layouts, same_tensors
from ssl_bench.backbones.layouts import LAYOUTS
from ssl_bench.backbones.readers import open_checkpoint
from ssl_bench.cards import ModelCard
from ssl_bench.model_files import PRESETS


def suggest_card(path: Path, url: str | None = None) -> tuple[str | None, list[str]]:
    """For a checkpoint without card: a card to paste (None where nothing fits whole), and what to know about it.

    ``url``: from where the file was fetched, for the card; without it the card names the path.
    """
    content = open_checkpoint(path)
    guesses = guess(content)
    exact = [found for found in guesses if found.exact]
    if not exact:
        return None, _nothing(content, guesses)
    best = exact[0]
    rivals = {found.layout for found in guess_layouts(content, best.arch, best.arch_args) if found.exact}
    notes = [f"All {best.fit.total} tensors of {best.arch} are in the file, as layout {best.layout} names them."]
    others = [name for name in LAYOUTS if name in rivals - {best.layout}]
    return _card(path, url, best), notes + _rivals(content, best, others) + _twins(best, exact)


def _rivals(content: Any, best: Guess, others: list[str]) -> list[str]:
    """Layouts that fit as well but take other values, such as the student for the teacher."""
    fits = [Guess(name, best.arch, best.arch_args, best.fit, 0) for name in others]
    different = [found.layout for found in fits if not same_tensors(content, best, found)]
    return [f"Layout {' or '.join(different)} fits too, with other values of the same names."] if different else []


def _twins(best: Guess, exact: list[Guess]) -> list[str]:
    """Networks of cards here with the same names and shapes: CLIPs with another activation, ResNets with another padding."""
    own = json.dumps([best.arch, best.arch_args], sort_keys=True)
    twins = {
        flow({"arch": found.arch, "arch_args": dict(found.arch_args)}): found.card.name
        for found in exact
        if found.card is not None and found.layout == best.layout
        if json.dumps([found.arch, found.arch_args], sort_keys=True) != own
    }
    return [
        f"{network} (as {name}) has tensors of the same shapes: compare with the authors' code."
        for network, name in twins.items()
    ]


def _nothing(content: Any, guesses: list[Guess]) -> list[str]:
    if guesses:
        nearest = guesses[0]
        return [
            f"No layout and network here fit the file whole. The nearest: layout {nearest.layout} with {nearest.arch}, "
            f"{nearest.fit.good} of {nearest.fit.total} tensors. {' '.join(nearest.fit.problems)}"
        ]
    keys = ", ".join(map(str, list(content)[:8])) if isinstance(content, Mapping) else type(content).__name__
    return [f"Nothing in the file is known here. At its top: {keys}."]


def _card(path: Path, url: str | None, best: Guess) -> str:
    """At most 12 lines of YAML."""
    like = best.like
    name = "".join(c if c.isalnum() else "_" for c in path.name.split(".")[0]).strip("_") or "mine"
    place = json.dumps(url or str(path.resolve()), ensure_ascii=False)
    lines = [
        f"method: {like.method if like else 'mine'}",
        "models:",
        f"  {name}:",
        f"    arch: {best.arch}",
        *([f"    arch_args: {flow(best.arch_args)}"] if best.arch_args else []),
        f"    weights: {{{'url' if url else 'path'}: {place}, layout: {best.layout}}}",
        f"    preprocess: {_preprocess(like)}  # {'as ' + like.name if like else 'not in the file'}: is it your authors'?",
        f"    embedding: {like.embedding if like else 'default'}  # the vector that the authors evaluate",
    ]
    if not like and any(word in best.arch for word in ("vit_", "swin")):
        lines.append("    # The number of heads is not in the file: compare arch with the authors' code.")
    return "\n".join(lines) + "\n"


def _preprocess(like: ModelCard | None) -> str:
    if like is None:
        return "imagenet_bicubic"
    given = like.preprocess.model_dump(mode="json", exclude_defaults=True)
    for name, fields in PRESETS.items():
        if like.preprocess == type(like.preprocess)(**fields):
            return name
    return flow(given) if given else "imagenet_bicubic"


def flow(arguments: Mapping[str, Any]) -> str:
    """As YAML on one line: ``{num_heads: 12}``."""
    return str(yaml.safe_dump(dict(arguments), default_flow_style=True, width=1000, sort_keys=False)).strip()
