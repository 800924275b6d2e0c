"""What a table shows beside its numbers, and how it is divided: columns about the models, headings, records left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal, get_args

from ssl_bench.cards import PublishedRow
from ssl_bench.errors import SettingsError, UnknownNameError
from ssl_bench.registry import registry
from ssl_bench.reporting.about import COLUMNS, about, card_of
from ssl_bench.reporting.cells import NOT_RANKED, Mark, flags
from ssl_bench.reporting.grid import Fact, Table
from ssl_bench.results.record import Record

By = Literal["protocol", "paper"]


def left_in(records: Iterable[Record], leave_out: Sequence[str]) -> list[Record]:
    """Records without these marks: ``stale``, ``partial``, ``custom``."""
    unknown = [mark for mark in leave_out if mark not in NOT_RANKED]
    if unknown:
        raise SettingsError(f"{unknown[0]!r} cannot be left out.", f"There are: {', '.join(sorted(NOT_RANKED))}")
    marks: set[Mark] = {mark for mark in NOT_RANKED if mark in leave_out}
    return [record for record in records if not marks & set(flags(record))] if marks else list(records)


def with_columns(table: Table, records: Iterable[Record], names: Sequence[str]) -> Table:
    """With columns about each row's model before its numbers, of ``about.COLUMNS``; in place of what the table says of its rows.

    What no card says is taken from the model's newest record, then from the paper's own row.
    """
    for name in names:
        if name not in COLUMNS:
            raise SettingsError(f"{name!r} is no column of models.", f"There are: {', '.join(COLUMNS)}")
    newest = {record.model: record for record in records}
    rows = []
    for line, cells in zip(table.lines, table.cells, strict=True):
        printed = next((cell.published.row for cell in cells if cell is not None and cell.published), None)
        facts = _facts(line.model, newest.get(line.model or ""), printed, names)
        rows.append(replace(line, facts=facts))
    return replace(table, facts=tuple(COLUMNS[name].heading for name in names), lines=tuple(rows))


def _facts(
    model: str | None, record: Record | None, row: PublishedRow | None, names: Sequence[str]
) -> tuple[Fact, ...]:
    """Of a row that is no model here only what the paper prints."""
    known = about(model or (row.method if row else ""), record, row)
    return tuple(COLUMNS[name].of(known) for name in names)


def grouped(table: Table, by: str) -> Table:
    """``protocol``: its tasks stand together below its name; ``paper``: its models do. The order is otherwise kept."""
    if by == "protocol":
        groups = [_protocol(column.task) for column in table.columns]
        columns = tuple(replace(c, group=group) for c, group in zip(table.columns, groups, strict=True))
        order = _together(groups)
        return replace(table, columns=columns).only(range(len(table.lines)), order)
    if by == "paper":
        groups = [_paper(line.model) for line in table.lines]
        lines = tuple(replace(line, group=group) for line, group in zip(table.lines, groups, strict=True))
        return replace(table, lines=lines).only(_together(groups), range(len(table.columns)))
    raise SettingsError(f"Tables are not grouped by {by!r}.", f"There are: {', '.join(get_args(By))}")


def _together(groups: Sequence[str]) -> list[int]:
    """Positions with equal groups side by side, in the order in which the groups first appear."""
    first = {group: place for place, group in reversed(list(enumerate(groups)))}
    return sorted(range(len(groups)), key=lambda place: first[groups[place]])


def _protocol(task: str | None) -> str:
    if not task:
        return "other"
    try:
        return registry().task(task).protocol
    except UnknownNameError:
        return task.partition("_")[0]


def _paper(model: str | None) -> str:
    """``Emerging Properties ... (ICCV 2021)``"""
    card = card_of(model) if model else None
    if card is None or card.paper is None:
        return "no paper"
    venue = f" ({card.paper.venue})" if card.paper.venue else ""
    return f"{card.paper.title}{venue}"
