"""What the leaderboard says about a model beside its numbers: card, preprocessing, weights, how to reproduce."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from ssl_bench.cards import ModelCard, Paper, PreprocessCard
from ssl_bench.licences import in_words
from ssl_bench.model_words import preprocess_in_words, pretraining_in_words, vector_in_words
from ssl_bench.reporting.about import About, card_of
from ssl_bench.results.record import Record
from ssl_bench.sizes import lengths_of


def facts(about: About, last: Record | None) -> dict[str, Any]:
    """Label -> what is said, for people; ``last``: the newest record, which knows what was really used. Empty ones are
    left out. ``weights``, ``paper`` and ``preprocessing`` hold more than one line."""
    card = card_of(about.model)
    said = {
        "method": f"{about.method} ({about.method_family})",
        "architecture": about.architecture,
        "parameters": f"{about.parameters_m:.3g} million" if about.parameters_m else None,
        "pretraining": (pretraining_in_words(card) if card else None) or about.pretrained_on,
        "vector": vector_in_words(card.embedding, lengths_of(card).get("default")) if card else None,
        "preprocessing": preprocessing(last.preprocess if last else card.preprocess if card else None),
        "licence": in_words(card.licence) if card and card.weights else about.licence,
        "paper": paper_link(card.paper) if card and card.paper else None,
        "weights": weights(last, card),
        "notes": card.notes if card else None,
    }
    return {label: value for label, value in said.items() if value}


def preprocessing(given: dict[str, Any] | PreprocessCard | None) -> list[str]:
    """The evaluation transform in words, one step a line; a plugin's own transform as its record describes it."""
    if given is None:
        return []
    try:
        card = given if isinstance(given, PreprocessCard) else PreprocessCard.model_validate(given)
    except ValidationError:
        return [f"{key}: {json.dumps(value)}" for key, value in given.items()] if isinstance(given, dict) else []
    return preprocess_in_words(card)


def paper_link(paper: Paper) -> dict[str, Any]:
    """Title and, if it is a web address, where to read it."""
    url = paper.url or (f"https://arxiv.org/abs/{paper.arxiv}" if paper.arxiv else None)
    return {"title": paper.title, "authors": paper.authors, "venue": paper.venue, "url": web_address(url)}


def web_address(url: str | None) -> str | None:
    """``url`` if a reader may safely follow it: http or https only (a card may come from a stranger)."""
    return url if url and urlsplit(url).scheme in {"http", "https"} else None


def command(record: Record) -> str:
    """The command that measures this record again."""
    return _command(record.model, [record.task], _flags(record), [record.seed])


def _command(model: str, tasks: Sequence[str], flags: str, seeds: Sequence[int]) -> str:
    parts = ["ssl-bench", "run", "--model", reference(model), "--task", ",".join(tasks)]
    for seed in seeds if list(seeds) != [0] else ():
        parts += ["--seed", str(seed)]
    return shlex.join(parts) + flags


def _flags(record: Record) -> str:
    """What differs from a usual run beside the seed, as it is typed."""
    parts: list[str] = []
    parts += ["--precision", record.compute.precision] if record.compute.precision != "fp32" else []
    parts += ["--pipeline", record.compute.pipeline] if record.compute.pipeline != "exact" else []
    for key, value in record.overrides.items():
        parts += ["--set", f"{key}={json.dumps(value)}"]
    return "".join(f" {shlex.quote(part)}" for part in parts) + (" --limit ..." if record.partial else "")


def all_commands(model: str, records: Sequence[Record]) -> list[str]:
    """As few commands as measure all records again: tasks of equal flags and seeds in one call."""
    seeds: dict[tuple[str, str], list[int]] = {}
    for record in records:
        seeds.setdefault((record.task, _flags(record)), []).append(record.seed)
    tasks: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for (task, flags), of_task in seeds.items():
        tasks.setdefault((flags, tuple(sorted(set(of_task)))), []).append(task)
    return [_command(model, shared, flags, of_all) for (flags, of_all), shared in tasks.items()]


def reference(model: str) -> str:
    """How a user names the model: its name, or for one that they trained, the path of its card."""
    known = card_of(model) is not None or model.startswith(("timm:", "hf:", "random_"))
    return model if known else f"path/to/{model}/card.yaml"


def weights(record: Record | None, card: ModelCard | None) -> dict[str, Any] | None:
    """A file's name is enough: where it lies on somebody's disk is not for the public."""
    if record is not None:
        source = record.weights.source
        return {**record.weights.model_dump(), "source": web_address(source) or PurePath(source).name}
    if card is not None and card.weights is not None and card.weights.url:
        return {"source": web_address(card.weights.url), "sha256": card.weights.sha256}
    return None
