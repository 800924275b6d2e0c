"""A review as Markdown, for the summary of a pull request."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from ssl_bench.reporting.cells import Cell, beside, flags
from ssl_bench.reporting.published import lookup
from ssl_bench.reporting.text import legend, number, published_text, signed, words
from ssl_bench.results.changes import Change
from ssl_bench.results.record import Record
from ssl_bench.results.review import Problem, Review

MOST = 200
"""Rows of a table and lines of a list: job summaries end at one megabyte."""
TITLES = {"new": "New", "changed": "Changed", "removed": "Removed"}


def markdown(review: Review, changed: Sequence[Change]) -> str:
    """Verdict, what cannot be published so, what a reviewer should know, and the rows that are new, changed and removed."""
    models = len({record.model for record in review.records})
    counted = f"{_count(len(review.records), 'record')} of {_count(models, 'model')}"
    errors = review.errors
    verdict = f"{_count(len(errors), 'problem')} to solve" if errors else "no problem found"
    parts = [f"## Review of results: {verdict}", f"{counted} read; {_summary(changed)}."]
    parts += _listed("Problems", errors)
    for kind, title in TITLES.items():
        rows = [change for change in changed if change.kind == kind]
        if rows:
            parts += [f"### {title}", _table(rows)]
    parts += _listed("Notes", [problem for problem in review.problems if problem.kind == "note"])
    shown = [_cell(change.record) for change in changed if change.kind != "removed"]
    parts += ["; ".join(legend(shown))] if legend(shown) else []
    return "\n\n".join(parts) + "\n"


def _summary(changed: Sequence[Change]) -> str:
    found = {kind: sum(change.kind == kind for change in changed) for kind in TITLES}
    return ", ".join(f"{count} {kind}" for kind, count in found.items())


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _listed(title: str, problems: Sequence[Problem]) -> list[str]:
    """One line a problem, below the folder or file that it is about."""
    if not problems:
        return []
    lines = []
    for where, group in groupby(sorted(problems, key=lambda p: p.where), key=lambda p: p.where):
        lines.append(f"- `{where.replace('`', '')}`")
        lines += [f"  - {_safe(problem.what)}" for problem in group]
    more = [f"- and {len(lines) - MOST} more lines"] if len(lines) > MOST else []
    return [f"### {title}", "\n".join([*lines[:MOST], *more])]


def _table(rows: Sequence[Change]) -> str:
    heads = ["model", "task", "metric", "was", "is", "difference", "published"]
    lines = [heads, ["---"] * 3 + ["---:"] * 3 + ["---"], *(_row(change) for change in rows[:MOST])]
    if len(rows) > MOST:
        lines.append([f"and {len(rows) - MOST} more", *[""] * 6])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(change: Change) -> list[str]:
    """``was`` and ``is`` with their intervals; their difference where both have the same headline."""
    record, before, after = change.record, change.before, change.after
    seed = f" (seed {record.seed})" if record.seed else ""
    cell = _cell(record)
    same = before is not None and after is not None and before.primary == after.primary
    difference = signed(after.value - before.value, after.primary) if same and before and after else ""
    return [
        _safe(record.model),
        _safe(record.task) + seed,
        record.primary,
        _value(before),
        _value(after),
        difference,
        _published(cell) if after is not None else "",
    ]


def _value(record: Record | None) -> str:
    if record is None:
        return ""
    shown = words(Cell(record.model, record.task, record.primary, value=record.value, marks=flags(record)))
    if record.interval is None:
        return shown.value + shown.symbols
    half = max(record.value - record.interval.low, record.interval.high - record.value)
    return f"{shown.value} ±{number(half, record.primary)}{shown.symbols}"


def _cell(record: Record) -> Cell:
    """The record's number beside what papers print for the model on the task."""
    found = beside([record], lookup(record.model, record.task), record.model, record.task)
    assert found is not None
    return found


def _published(cell: Cell) -> str:
    text = published_text(cell)
    return f"{text} ({cell.verdict}, {_safe(cell.published.source)})" if text and cell.published else text


def _safe(text: str) -> str:
    """A stranger's text as words: no markup, no further column or line."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("`", "'")
    return " ".join(escaped.split())
