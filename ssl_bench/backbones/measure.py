"""The file ``model_zoo/sizes.json``, from the cards: ``python -m ssl_bench.backbones.measure`` writes it."""

from __future__ import annotations

import json
from typing import Any

from ssl_bench.backbones import archs
from ssl_bench.backbones.embeddings import embedding_dim
from ssl_bench.backbones.fit import skeleton
from ssl_bench.cards import ModelCard
from ssl_bench.model_files import read_models
from ssl_bench.paths import shipped
from ssl_bench.results.atomic import write_text

Size = dict[str, Any]


def measure(card: ModelCard) -> Size:
    """Parameters of the backbone, and the length of the vector that each protocol gets; no memory is used for weights."""
    backbone = archs.wrap(skeleton(card.arch, card.arch_args), card.embedding, card.preprocess, card.name)
    lengths = {name: embedding_dim(backbone, vector) for name, vector in card.embeddings.items()}
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    return {"parameters": parameters, "lengths": {"default": backbone.embed_dim, **lengths}}


def sizes() -> dict[str, Size]:
    """Of every shipped model, by name."""
    cards = [card for path in shipped("model_zoo").glob("*.yaml") for card in read_models(path)]
    return {card.name: measure(card) for card in sorted(cards, key=lambda card: card.name)}


def page() -> str:
    """One line a model, to be read in a diff."""
    lines = [f"{json.dumps(name)}: {json.dumps(size)}" for name, size in sizes().items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    write_text(shipped("model_zoo") / "sizes.json", page())
