"""Models as rows and one model as data: behind ``list models`` and ``show model``. Imports no torch."""

from __future__ import annotations

from typing import Any

from ssl_bench.backbones.pins import Pins
from ssl_bench.backbones.stored import kind_of, pins_of, stored
from ssl_bench.cards import Modality, ModelCard
from ssl_bench.licences import commercial, non_commercial
from ssl_bench.model_words import Section, millions, page
from ssl_bench.progress import Progress
from ssl_bench.registry import CodeModel, registry
from ssl_bench.reporting.published import numbers
from ssl_bench.sizes import lengths_of, parameters_of

Row = dict[str, Any]


def list_models(
    method: str | None = None,
    arch: str | None = None,
    licence: str | None = None,
    pretrained_on: str | None = None,
    modality: str | None = None,
    min_params: float | None = None,
    max_params: float | None = None,
    cached: bool = False,
    commercial: bool = False,
) -> list[Row]:
    """Models that pass every filter: ``method``, ``arch``, ``licence`` and ``pretrained_on`` are parts of what the card says (arch:
    also of the model's name), case does not matter; ``min_params`` and ``max_params`` in millions; ``cached``: whose
    checkpoint is here; ``commercial``: whose licence is stated and allows commercial use."""
    rows = []
    pins, known = pins_of(), registry()
    for name in known.models:
        entry = known.models.get(name)
        card = entry.card if isinstance(entry, CodeModel) else entry
        parameters = parameters_of(card)
        wanted = (
            _says(method, card.method)
            and _says(arch, f"{card.arch} {name}")
            and _says(licence, card.licence)
            and _says(pretrained_on, card.pretrain.dataset)
            and modality in {None, card.modality}
            and (min_params is None or (parameters is not None and parameters >= min_params * 1e6))
            and (max_params is None or (parameters is not None and parameters <= max_params * 1e6))
            and (not cached or stored(card, pins) is not None)
            and (not commercial or _use(card) == "")
        )
        if wanted:
            rows.append(_row(name, card, parameters, pins))
    return rows


def _says(wanted: str | None, said: str | None) -> bool:
    return wanted is None or wanted.lower() in (said or "").lower()


def _row(name: str, card: ModelCard, parameters: int | None, pins: Pins) -> Row:
    here = kind_of(card) in {"url", "by hand"} and stored(card, pins) is not None
    return {
        "model": name,
        "method": card.method,
        "arch": card.arch,
        "M params": millions(parameters),
        "epochs": card.pretrain.epochs or card.epochs,
        "pretrained on": card.pretrain.dataset,
        "licence": card.licence,
        "use": _use(card),
        "weights": kind_of(card) + (", cached" if here else ""),
    }


def _use(card: ModelCard) -> str:
    """``non-commercial``; ``ask`` where nobody says what is allowed; nothing where commercial use is."""
    if card.weights is None and card.licence is None:
        return ""
    return "non-commercial" if non_commercial(card.licence) else "" if commercial(card.licence) else "ask"


EXAMPLES: dict[Modality, str] = {
    "image": "knn_imagenet,linear_imagenet",
    "video": "video_kinetics400,video_linear_kinetics400",
    "audio": "audio_esc50,audio_linear_esc50",
}
"""Tasks that suit a model."""


def show_model(name: str, progress: Progress | None = None) -> Row:
    """Everything about a model as nested plain data: its card, what is known beside it, and ``published`` numbers."""
    entry = registry().model(name)
    card = entry.card if isinstance(entry, CodeModel) else entry
    row = card.model_dump(mode="json", exclude_none=True)
    row["non_commercial"] = non_commercial(card.licence)
    row["parameters"], row["lengths"] = parameters_of(card), lengths_of(card)
    row["stored"] = _stored(card, progress)
    file = " --weights PATH" if kind_of(card) in {"by hand", "unreleased"} else ""
    row["run"] = f"ssl-bench run --model {name}{file} --task {EXAMPLES[card.modality]}"
    row["published"] = [
        f"{number.source}: {number.column.protocol} {number.column.dataset} {number.metric} {number.value:g}"
        + (" (doubtful)" if number.doubtful else "")
        for number in numbers()
        if number.model == name
    ]
    if isinstance(entry, CodeModel):
        row["code"] = f"{entry.build.__module__}.{entry.build.__name__}"
    return row


def _stored(card: ModelCard, progress: Progress | None) -> Row | None:
    """The checkpoint on this machine, if there is one, and whether it is the pinned file."""
    found = stored(card, pins_of())
    if found is None:
        return None
    size = round(found.path.stat().st_size / 1e6, 1)
    return {
        "path": str(found.path),
        "megabytes": size,
        "url": found.url,
        "sha256": found.sha256,
        "state": found.state(progress),
    }


def page_of(name: str, shown: Row) -> Section:
    """The same for people."""
    entry = registry().model(name)
    section = page(shown, entry.card if isinstance(entry, CodeModel) else entry)
    return {**section, **({"code": shown["code"]} if "code" in shown else {})}
