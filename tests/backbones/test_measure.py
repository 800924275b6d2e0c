"""``model_zoo/sizes.json`` is what the cards give."""

from __future__ import annotations

import json

from ssl_bench.backbones.measure import measure, page, sizes
from ssl_bench.cards import ModelCard
from ssl_bench.paths import shipped
from ssl_bench.registry import registry


def test_the_committed_sizes_are_right_for_every_card() -> None:
    committed = json.loads((shipped("model_zoo") / "sizes.json").read_text())
    assert committed == sizes() == json.loads(page()), "run: python -m ssl_bench.backbones.measure"


def test_the_vectors_of_protocols_have_their_own_length() -> None:
    card = registry().model("dino_vits16")
    assert isinstance(card, ModelCard)
    asked = card.model_copy(update={"embeddings": {"linear": "last4_cls", "knn": "cls_mean"}})
    assert measure(asked) == {"parameters": 21665664, "lengths": {"default": 384, "linear": 1536, "knn": 768}}
