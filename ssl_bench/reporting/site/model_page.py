"""A page for every model: card, all results beside printed ones, how they were made, how to make them again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ssl_bench.reporting.cells import NOT_RANKED, Cell
from ssl_bench.reporting.model_facts import all_commands, command, facts, reference, web_address
from ssl_bench.reporting.published import PublishedNumber
from ssl_bench.reporting.site.content import Content
from ssl_bench.reporting.site.pages import Pages, address
from ssl_bench.reporting.text import legend, number, words
from ssl_bench.results.record import Record


def write_model_pages(content: Content, pages: Pages) -> None:
    """``models/*.html``."""
    for line, row in zip(content.table.lines, content.table.cells, strict=True):
        about = content.models[line.label]
        records = content.by_model.get(line.label, [])
        printed = content.printed_by_model.get(line.label, [])
        cells = [cell for cell in row if cell is not None and cell.value is not None]
        machines = _machines(records)
        pages.write(
            address("models", about.model),
            "model.html.j2",
            about=about,
            facts=facts(about, records[-1] if records else None),
            results=[_result(cell, content) for cell in cells],
            legend=legend(cells),
            runs=[_run(record, machines) for record in records],
            machines=machines,
            commands=all_commands(about.model, records) or _commands(about.model, printed),
            printed=[_printed(n, content) for n in printed],
        )


def _result(cell: Cell, content: Content) -> dict[str, Any]:
    said = words(cell)
    runs = [record for record in content.by_model[cell.model] if record.run_id in cell.run_ids]
    return {
        "task": cell.task,
        "metric": cell.metric,
        "value": said.value,
        "symbols": said.symbols,
        "emphasis": said.emphasis,
        "published": said.published,
        "source": cell.published.source if cell.published else None,
        "paper": cell.published.paper if cell.published else None,
        "faded": bool(NOT_RANKED & set(cell.marks)),
        "seeds": cell.seeds,
        "version": runs[0].task_version,
        "day": runs[-1].provenance.created[:10],
    }


def _machines(records: Sequence[Record]) -> list[str]:
    """The different surroundings of the records: code, libraries, device."""
    return list(dict.fromkeys(map(_machine, records)))


def _machine(record: Record) -> str:
    made, compute = record.provenance, record.compute
    commit = f" at commit {made.commit[:12]}" if made.commit else ""
    changed = " with changes" if made.dirty else ""
    packages = ", ".join(f"{name} {version}" for name, version in sorted(made.packages.items()))
    pipeline = f"{compute.pipeline} images" + (f" ({compute.pipeline_deviation})" if compute.pipeline_deviation else "")
    return (
        f"ssl-bench {made.version}{commit}{changed}; python {made.python}, {packages}; {compute.device}, {compute.precision}, "
        f"{pipeline}"
    )


def _run(record: Record, machines: Sequence[str]) -> dict[str, Any]:
    data = record.dataset
    skipped = f", {len(data.skipped)} unreadable ones left out" if data.skipped else ""
    return {
        "task": record.task,
        "day": record.provenance.created[:10],
        "metrics": ", ".join(f"{name} {number(value, name)}" for name, value in record.metrics.items()),
        "settings": ", ".join(f"{key} {json.dumps(value)}" for key, value in record.settings.items()),
        "images": f"{data.n_train:,} train, {data.n_test:,} test, {data.classes} classes{skipped}",
        "selection": record.selection,
        "seed": record.seed,
        "partial": record.partial,
        "seconds": record.compute.seconds,
        "run_id": record.run_id,
        "sha256": record.weights.sha256,
        "machine": machines.index(_machine(record)) + 1,
        "command": command(record),
    }


def _commands(model: str, printed: Sequence[PublishedNumber]) -> list[str]:
    """For a model that nobody has measured yet."""
    tasks = list(dict.fromkeys(n.task for n in printed if n.task))
    return [f"ssl-bench run --model {reference(model)} --task {','.join(tasks)}"] if tasks else []


def _printed(n: PublishedNumber, content: Content) -> dict[str, Any]:
    spread = f" ±{number(n.std, n.metric)}" if n.std is not None else ""
    return {
        "task": n.task if n.task in content.tasks else None,
        "what": f"{n.column.protocol}, {n.column.dataset}",
        "metric": n.metric,
        "value": number(n.value, n.metric) + spread,
        "doubtful": n.doubtful,
        "source": n.source,
        "paper": n.paper,
        "table": n.table,
        "url": web_address(n.url),
        "note": n.note,
    }
