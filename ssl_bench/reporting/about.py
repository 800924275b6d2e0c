"""What is known about a model beside its numbers: size, pretraining, epochs, licence. For columns and filters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ssl_bench.cards import ModelCard, PublishedRow
from ssl_bench.licences import commercial, non_commercial
from ssl_bench.model_words import millions
from ssl_bench.registry import registry
from ssl_bench.reporting.families import family, method_family
from ssl_bench.results.record import Record
from ssl_bench.sizes import parameters_of

PRINTED_DATA = {
    "ImageNet-1K": "imagenet",
    "ImageNet-100": "imagenet100",
    "LAION-400M": "laion400m",
    "WIT-400M": "wit400m",
    "COCO": "coco",
    "Kinetics-400": "kinetics400",
    "none": None,
}
"""Pretraining data as papers print it -> as our cards name it."""


@dataclass(frozen=True)
class About:
    """A field is None where nobody states it. ``parameters_m``: millions, of the frozen backbone; ``use``: what the licence
    allows, ``any`` or ``non-commercial``."""

    model: str
    method: str
    method_family: str
    architecture: str
    family: str
    parameters_m: float | None
    pretrained_on: str | None
    epochs: float | None
    licence: str | None
    use: str | None


def about(model: str, record: Record | None = None, row: PublishedRow | None = None) -> About:
    """From the model's card; what that leaves open from a record of ours, then from a row that a paper prints. The
    parameters that a record counted go first."""
    card = card_of(model)
    method = card.method if card else record.method if record else model.split("_")[0]
    architecture = card.arch if card else row.arch if row else model.partition("_")[2]
    printed_data = PRINTED_DATA.get(row.pretrain_data or "", row.pretrain_data) if row else None
    licence = card.licence if card else None
    return About(
        model=model,
        method=method,
        method_family=method_family(method),
        architecture=architecture,
        family=family(architecture),
        parameters_m=_parameters(card, record, row),
        pretrained_on=(card.pretrain.dataset if card else None) or printed_data,
        epochs=(card.pretrain.epochs or card.epochs if card else None) or (row.epochs if row else None),
        licence=licence,
        use="non-commercial" if non_commercial(licence) else "any" if commercial(licence) else None,
    )


class Column(NamedTuple):
    """A heading, and what stands below it."""

    heading: str
    of: Callable[[About], str | float | None]


COLUMNS = {
    "method": Column("method", lambda a: a.method),
    "family": Column("family", lambda a: a.method_family),
    "architecture": Column("architecture", lambda a: a.architecture),
    "parameters": Column("M params", lambda a: a.parameters_m),
    "pretraining": Column("pretrained on", lambda a: a.pretrained_on),
    "epochs": Column("epochs", lambda a: a.epochs),
    "licence": Column("licence", lambda a: a.licence),
}
"""What ``table --columns`` can show."""


def card_of(model: str) -> ModelCard | None:
    """The model's card, also of a plugin; None for a model that is not known here."""
    known = registry()
    if model not in known.models:
        return None
    entry = known.models.get(model)
    return entry if isinstance(entry, ModelCard) else entry.card


def _parameters(card: ModelCard | None, record: Record | None, row: PublishedRow | None) -> float | None:
    counted = record.weights.parameters if record else None
    if counted is None and card is not None:
        counted = parameters_of(card)
    return row.params_m if counted is None and row is not None else millions(counted)
