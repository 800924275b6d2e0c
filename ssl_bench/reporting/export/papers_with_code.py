"""Evaluation tables as Papers with Code published them: tasks, their data sets, and rows of models with metrics.

The keys are those of paperswithcode/sota-extractor, ``taskdb/v01/schemas.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ssl_bench.cards import Paper
from ssl_bench.reporting.about import about, card_of
from ssl_bench.reporting.export.headlines import Headline, headlines, title_of
from ssl_bench.reporting.model_facts import paper_link, web_address
from ssl_bench.results.record import Record


def evaluation_tables(records: Iterable[Record]) -> str:
    """JSON text: one entry for each task variant (``knn``, ``low_shot_1``), in it one table for each data set."""
    tasks: dict[str, dict[str, list[Headline]]] = {}
    for one in headlines(records):
        tasks.setdefault(one.variant, {}).setdefault(one.record.dataset.name, []).append(one)
    content = [_task(variant, tables) for variant, tables in tasks.items()]
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _task(variant: str, tables: dict[str, list[Headline]]) -> dict[str, Any]:
    first = next(iter(tables.values()))[0]
    return {
        "task": variant,
        "description": first.summary,
        "categories": ["Computer Vision", "Self-Supervised Learning"],
        "datasets": [_table(dataset, found) for dataset, found in tables.items()],
        "subtasks": [],
        "synonyms": [],
        "source_link": None,
    }


def _table(dataset: str, found: list[Headline]) -> dict[str, Any]:
    metrics = list(dict.fromkeys(one.cell.metric for one in found))
    return {
        "dataset": dataset,
        "description": title_of(dataset),
        "dataset_links": [],
        "dataset_citations": [],
        "subdatasets": [],
        "sota": {"metrics": metrics, "rows": [_row(one) for one in found]},
    }


def _row(one: Headline) -> dict[str, Any]:
    known, card = about(one.record.model, one.record), card_of(one.record.model)
    paper = _paper(card.paper if card else None)
    weights = web_address(card.weights.url) if card and card.weights else None
    return {
        "model_name": one.record.model,
        **paper,
        "paper_date": None,
        "code_links": [],
        "model_links": [{"title": "weights", "url": weights}] if weights else [],
        "metrics": {one.cell.metric: one.cell.value},
        "uses_additional_data": known.pretrained_on not in {None, one.record.dataset.name},
    }


def _paper(paper: Paper | None) -> dict[str, str]:
    found = paper_link(paper) if paper else {}
    return {"paper_title": found.get("title") or "", "paper_url": found.get("url") or ""}
