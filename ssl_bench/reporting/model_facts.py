"""What the leaderboard says about a model beside its numbers: card, preprocessing, weights, how to reproduce."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

from ssl_bench.cards import ModelCard, Paper
from ssl_bench.errors import SslBenchError
from ssl_bench.licences import commercial, non_commercial
from ssl_bench.registry import registry
from ssl_bench.reporting.published import PublishedNumber
from ssl_bench.results.record import Record


def facts(model: str, records: Sequence[Record], printed: Sequence[PublishedNumber]) -> dict[str, Any]:
    """Everything known about a model, JSON-serialisable; fields that nobody states are None."""
    card = _card(model)
    last = records[-1] if records else None
    row = printed[0].row if printed else None
    parameters = last.weights.parameters if last else None
    printed_size = row.params_m if row else None
    return {
        "name": model,
        "method": card.method if card else last.method if last else model.split("_")[0],
        "architecture": card.arch if card else row.arch if row else model.partition("_")[2],
        "parameters_m": printed_size if parameters is None else parameters / 1e6,
        "embedding": card.embedding if card else None,
        "pretraining": _pretraining(card),
        "licence": card.licence if card else None,
        "use": _use(card),
        "notes": card.notes if card else None,
        "paper": paper_link(card.paper) if card and card.paper else None,
        "preprocess": last.preprocess if last else card.preprocess.model_dump(mode="json") if card else None,
        "weights": _weights(last, card),
        "runs": [_run(record) for record in records],
        "published": [_printed(number) for number in printed],
    }


def family(architecture: str) -> str:
    """A coarse kind of network, to filter by."""
    name = architecture.lower().removeprefix("timm:")
    for kind, words in FAMILIES.items():
        if any(word in name for word in words):
            return kind
    return "other"


FAMILIES = {
    "Swin": ("swin",),
    "ConvNeXt": ("convnext",),
    "ResNet": ("resnet", "resnext", "rn50", "rn101", "rn152", "rn200"),
    "ViT": ("vit", "deit", "beit", "eva"),
}


def paper_link(paper: Paper) -> dict[str, Any]:
    """Title and, if it is a web address, where to read it."""
    url = paper.url or (f"https://arxiv.org/abs/{paper.arxiv}" if paper.arxiv else None)
    return {"title": paper.title, "authors": paper.authors, "venue": paper.venue, "url": web_address(url)}


def web_address(url: str | None) -> str | None:
    """``url`` if a reader may safely follow it: http or https only (a card may come from a stranger)."""
    return url if url and urlsplit(url).scheme in {"http", "https"} else None


def command(record: Record) -> str:
    """The command that measures this record again."""
    parts = ["ssl-bench", "run", "--model", _reference(record.model), "--task", record.task]
    parts += ["--seed", str(record.seed)] if record.seed else []
    parts += ["--precision", record.compute.precision] if record.compute.precision != "fp32" else []
    parts += ["--pipeline", record.compute.pipeline] if record.compute.pipeline != "exact" else []
    for key, value in record.overrides.items():
        parts += ["--set", f"{key}={json.dumps(value)}"]
    return shlex.join(parts) + (" --limit ..." if record.partial else "")


def _reference(model: str) -> str:
    """How a user names the model: its name, or for one that they trained, the path of its card."""
    try:
        registry().model(model)
    except SslBenchError:
        return f"path/to/{model}/card.yaml"
    return model


def _card(model: str) -> ModelCard | None:
    known = registry()
    if model not in known.models:
        return None
    entry = known.models.get(model)
    return entry if isinstance(entry, ModelCard) else entry.card


def _use(card: ModelCard | None) -> str | None:
    """``non-commercial`` or ``any``; None where no licence is stated."""
    if card is None or not card.licence:
        return None
    return "non-commercial" if non_commercial(card.licence) else "any" if commercial(card.licence) else None


def _pretraining(card: ModelCard | None) -> str | None:
    if card is None:
        return None
    seen = card.pretrain
    epochs = seen.epochs or card.epochs
    parts = [seen.dataset or "", f"labels: {seen.labels}", f"{epochs:g} epochs" if epochs else ""]
    return ", ".join(part for part in parts if part)


def _weights(record: Record | None, card: ModelCard | None) -> dict[str, Any] | None:
    """A file's name is enough: where it lies on somebody's disk is not for the public."""
    if record is not None:
        source = record.weights.source
        return {**record.weights.model_dump(), "source": web_address(source) or PurePath(source).name}
    if card is not None and card.weights is not None and card.weights.url:
        return {"source": web_address(card.weights.url), "sha256": card.weights.sha256}
    return None


def _run(record: Record) -> dict[str, Any]:
    return {
        "run_id": record.run_id,
        "task": record.task,
        "task_version": record.task_version,
        "metrics": record.metrics,
        "settings": record.settings,
        "selection": record.selection,
        "seed": record.seed,
        "partial": record.partial,
        "images": {
            "train": record.dataset.n_train,
            "test": record.dataset.n_test,
            "skipped": len(record.dataset.skipped),
        },
        "device": record.compute.device,
        "seconds": record.compute.seconds,
        "version": record.provenance.version,
        "commit": record.provenance.commit,
        "created": record.provenance.created,
        "command": command(record),
    }


def _printed(number: PublishedNumber) -> dict[str, Any]:
    return {
        "task": number.task,
        "metric": number.metric,
        "value": number.value,
        "std": number.std,
        "source": number.source,
        "url": web_address(number.url),
        "doubtful": number.doubtful,
        "note": number.note,
    }
