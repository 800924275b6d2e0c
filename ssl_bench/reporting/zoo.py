"""The page docs/models.md, written from the cards: ``python -m ssl_bench.reporting.zoo > docs/models.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ssl_bench.backbones.stored import kind_of
from ssl_bench.cards import ModelCard
from ssl_bench.licences import commercial, non_commercial
from ssl_bench.model_files import read_models
from ssl_bench.model_words import millions, pretraining_in_words
from ssl_bench.paths import shipped
from ssl_bench.reporting.render import escape_markdown
from ssl_bench.sizes import parameters_of

HEAD = """# Models

Every released backbone that has a card in `model_zoo/`. `ssl-bench show model NAME` says the rest: the vector, the evaluation
transform, the addresses, published numbers. Loading one fetches its file once; nothing is shipped with the package.

**NC**: the licence of the weights allows non-commercial use only. **?**: no licence is stated, so ask the authors. Parameters
are those of the frozen backbone (of CLIP both towers), in millions. Other files of a model (full checkpoints, other epochs) load with `--weights`.

This page is generated: `python -m ssl_bench.reporting.zoo > docs/models.md`.
"""

WITHOUT = {
    "Context Prediction (2015)": "the authors' networks are Caffe files of an AlexNet variant; no PyTorch network has these layers",
    "Jigsaw, the original (2016)": "Caffe files of an AlexNet variant; `jigsaw_resnet50` is the ResNet-50 that others trained",
    "Context Encoders (2016)": "Caffe (AlexNet) and Torch7 files, for research only",
    "Learning to Count (2017)": "no official code or weights were found",
    "CPC v1, v2 (2018, 2019)": "the authors published no weights",
}
"""Methods of the field without a card, and why."""


def page() -> str:
    """The whole page."""
    cards = [card for path in _files() for card in read_models(path) if card.weights is not None]
    released = [card for card in cards if kind_of(card) != "unreleased"]
    parts = [HEAD, f"## Released ({len(released)})\n"]
    parts += [_table(_RELEASED, map(_released, released))]
    parts += [
        "\n## To be fetched by hand\n",
        "Their pages have no address for a file: give it with `--weights PATH`.\n",
    ]
    parts += [_table(("model", "page"), ((card.name, _page(card)) for card in released if kind_of(card) == "by hand"))]
    unreleased = (card for card in cards if kind_of(card) == "unreleased")
    parts += [
        "\n## Without weights\n",
        "A card is here for those who have trained one; the method's authors gave no file.\n",
    ]
    parts += [_table(("model", "why"), ((card.name, _why(card)) for card in unreleased))]
    parts += ["\n## Without a card\n", _table(("method", "why"), WITHOUT.items(), code=False)]
    return "\n".join(parts)


_RELEASED = ("model", "network", "M params", "pretrained on", "licence", "")


def _files() -> Sequence[Path]:
    return sorted(shipped("model_zoo").glob("*.yaml"))


def _released(card: ModelCard) -> tuple[str, ...]:
    size = millions(parameters_of(card))
    mark = "**NC**" if non_commercial(card.licence) else "" if commercial(card.licence) else "**?**"
    arguments = ", ".join(f"{key} {value}" for key, value in card.arch_args.items())
    network = card.arch + (f" ({arguments})" if arguments else "")
    seen = pretraining_in_words(card) or ""
    return card.name, network, "" if size is None else f"{size:g}", seen, card.licence or "", mark


def _page(card: ModelCard) -> str:
    return (card.weights.page if card.weights else None) or ""


def _why(card: ModelCard) -> str:
    return (card.weights.unreleased if card.weights else None) or ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], code: bool = True) -> str:
    lines = [f"| {' | '.join(heads)} |", f"| {' | '.join('---' for _ in heads)} |"]
    tick = "`" if code else ""
    lines += [f"| {tick}{first}{tick} | {' | '.join(map(_cell, rest))} |" for first, *rest in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Marks and code of ours stay as they are."""
    return text if "*" in text or "`" in text else escape_markdown(text)


if __name__ == "__main__":
    sys.stdout.write(page() + "\n")
