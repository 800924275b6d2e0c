"""docs/models.md is what the cards say."""

from __future__ import annotations

from pathlib import Path

from ssl_bench.cards import ModelCard
from ssl_bench.registry import registry
from ssl_bench.reporting.zoo import page

PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page() + "\n", "run: python -m ssl_bench.reporting.zoo > docs/models.md"


def test_every_model_with_weights_or_a_reason_is_on_it() -> None:
    cards = [registry().models.get(name) for name in registry().models]
    names = [c.name for c in cards if isinstance(c, ModelCard) and c.weights]
    assert [name for name in names if f"| `{name}` |" not in page()] == []
    assert "| **NC** |" in next(line for line in page().splitlines() if "`mae_vitb16`" in line)
