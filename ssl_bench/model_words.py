"""A model's card in words: what ``show model`` prints. Imports no torch."""

from __future__ import annotations

import re
from typing import Any

from ssl_bench.cards import Modality, ModelCard, PreprocessCard, Weights
from ssl_bench.licences import in_words

VECTORS = {
    "cls": "class token of the last block, after the final norm",
    "mean_patch": "mean of the patch tokens of the last block, after the final norm",
    "mean_token": "mean of all tokens of the last block, the class token too, after the final norm",
    "cls_before_norm": "class token of the last block, before the final norm",
    "cls_mean_before_norm": "class token and mean patch token of the last block, before the final norm",
    "cls_mean": "class token, then mean of the patch tokens, of the last block, after the final norm",
    "pool": "last feature map, averaged over all positions",
    "projected": "in the space shared with texts, after the linear projection, not normalised",
    "pre_projection": "before the linear projection to the space shared with texts",
    "default": "what the network returns",
}
INPUTS: dict[Modality, str] = {"image": "images", "video": "video clips", "audio": "spectrograms"}
_LAST = re.compile(r"last(\d+)_cls(_mean)?")
_BLOCK = re.compile(r"block(\d+)_cls_mean")
_LABELS = {"none": "no labels", "labels": "class labels", "text": "texts"}
_PRESET_MEAN, _PRESET_STD = PreprocessCard().mean, PreprocessCard().std

Section = dict[str, str | list[str] | None]


def vector_in_words(embedding: str, length: int | None) -> str:
    """What an embedding's name means: ``class token of the last block, after the final norm: 384 numbers``."""
    if last := _LAST.fullmatch(embedding):
        words = f"class tokens of the last {last[1]} blocks, after the final norm, side by side"
        words += "; then the mean patch token of the last block" if last[2] else ""
    elif block := _BLOCK.fullmatch(embedding):
        words = f"class token and mean patch token of block {block[1]}, before any final norm"
    else:
        words = VECTORS.get(embedding, "a vector of its own kind")
    return f"{embedding}: {words}" + (f"; {length} numbers" if length else "")


def preprocess_in_words(card: PreprocessCard) -> list[str]:
    """The evaluation transform, one step a line."""
    steps = []
    if card.crop_first and card.resize and card.crop:
        steps.append(
            f"central square of {card.crop}/{card.resize} of the shorter side ({_ROUNDING[card.crop_first]}), "
            f"then resized to {card.crop} x {card.crop} pixels, {card.interpolation}"
        )
    else:
        if card.resize is not None:
            sides = f"both sides to {card.resize}" if card.squash else f"shorter side to {card.resize}"
            steps.append(f"{sides} pixels, {card.interpolation}")
        if card.crop is not None:
            steps.append(f"central {card.crop} x {card.crop} pixels")
    steps = steps or ["the image in its own size"]
    if (colour := str(card.colour)) != "rgb":
        steps.append(f"colours as {colour}")
    if set(card.mean) == {0.0} and set(card.std) == {1.0}:
        return [*steps, "values from 0 to 1, not normalised" if colour == "rgb" else "not normalised"]
    return [*steps, f"mean {_numbers(card.mean)}, std {_numbers(card.std)}" + _usual(card)]


_ROUNDING = {"nearest": "side rounded to the nearest", "down": "side rounded down"}


def _usual(card: PreprocessCard) -> str:
    return " (ImageNet's)" if (card.mean, card.std) == (_PRESET_MEAN, _PRESET_STD) else ""


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)


def pretraining_in_words(card: ModelCard) -> str | None:
    """``imagenet, no labels, 800 epochs``."""
    seen, epochs = card.pretrain, card.pretrain.epochs or card.epochs
    if seen.dataset is None and epochs is None:
        return None
    parts = [seen.dataset, _LABELS[seen.labels], f"{epochs:g} epochs" if epochs else None]
    return ", ".join(part for part in parts if part)


def millions(parameters: int | None) -> float | None:
    """Parameters in millions, with three digits that mean something."""
    return None if parameters is None else float(f"{parameters / 1e6:.3g}")


def page(shown: dict[str, Any], card: ModelCard) -> Section:
    """What ``show model`` prints, label by label; ``shown`` is the same as data (see ``listing``). Empty ones are left out."""
    weights = card.weights
    lengths: dict[str, int] = shown.get("lengths", {})
    paper = card.paper
    arguments = ", ".join(f"{key} = {value}" for key, value in card.arch_args.items())
    section: Section = {
        "method": card.method,
        "paper": f"{paper.authors}: {paper.title}" + (f" ({paper.venue})" if paper.venue else "") if paper else None,
        "read it": (paper.url or (f"https://arxiv.org/abs/{paper.arxiv}" if paper.arxiv else None)) if paper else None,
        "licence": in_words(card.licence) if weights else card.licence,
        "network": card.arch + (f" with {arguments}" if arguments else ""),
        "parameters": _count(shown.get("parameters")),
        "input": INPUTS[card.modality],
        "preprocessing": _transform(card),
        "vector": vector_in_words(card.embedding, lengths.get("default")),
        **{
            f"for {protocol}": vector_in_words(name, lengths.get(protocol))
            for protocol, name in card.embeddings.items()
        },
        "pretrained on": pretraining_in_words(card),
        **(_weights(weights, shown) if weights else {"weights": "none: random initialisation"}),
        "notes": card.notes,
        "published": shown["published"],
        "run it": shown["run"],
    }
    return {label: value for label, value in section.items() if value}


def _transform(card: ModelCard) -> list[str] | str | None:
    """Spectrograms come normalised: no transform of images makes them."""
    if card.modality == "audio":
        return None
    return (
        "timm's own for this network, where timm has it"
        if _timm_decides(card)
        else preprocess_in_words(card.preprocess)
    )


def _timm_decides(card: ModelCard) -> bool:
    """Cards that are made on the fly, for ``timm:``, ``hf:`` and ``random_<timm name>``."""
    return card.folder is None and "preprocess" not in card.model_fields_set


def _count(parameters: int | None) -> str | None:
    return None if parameters is None else f"{parameters:,} ({millions(parameters):g} million)"


def _weights(weights: Weights, shown: dict[str, Any]) -> Section:
    local = shown["stored"]
    here = f"{local['path']} ({local['megabytes']:g} MB), {local['state']}" if local else None
    return {
        "weights": weights.url
        or weights.path
        or (f"none: {weights.unreleased}" if weights.unreleased else None)
        or (f"by hand, from {weights.page}" if weights.page else "timm's own"),
        "page": weights.page if weights.url else None,
        "layout": weights.layout,
        "other files": [f"{name}: {url}" for name, url in weights.others.items()],
        "sha256": (local or {}).get("sha256") or weights.sha256,
        "on this machine": here or ("no" if weights.url or weights.path or weights.page else None),
    }
