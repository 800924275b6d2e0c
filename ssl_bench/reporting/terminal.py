"""Tables for a terminal. One that is too wide is cut into blocks of columns, each with the rows' labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssl_bench.reporting.grid import Table
from ssl_bench.reporting.text import fact_text, legend, marker, words

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

STYLES = {"best": "bold green", "second": "green", "faded": "dim italic", "": ""}
LONGEST_WORD = 24
"""A longer word of a heading is cut rather than making its column wider."""
GAP = 3
"""Between two columns."""


def as_rich(table: Table, width: int = 120) -> Group:
    """For a rich console of this many characters: measured number above, the paper's below it, then what symbols mean."""
    from rich.console import Group
    from rich.text import Text

    said = [*legend(cell for _, _, cell in table.filled()), *table.remarks]
    said += [f"[{i}] {note}" for i, note in enumerate(table.notes, 1)]
    parts = [table.only(range(len(table.lines)), columns) for columns in _columns_that_fit(table, width)]
    blocks = [_block(part, fold=2 * _labels_width(table) > width) for part in parts]
    return Group(
        Text(table.title, style="bold"), *blocks, Text("\n".join(said), style="dim") if said else Text("", end="")
    )


def _columns_that_fit(table: Table, width: int) -> list[list[int]]:
    """Positions of the columns of each block; at least one column a block."""
    before = 1 + _labels_width(table)
    blocks: list[list[int]] = [[]]
    used = before
    for j in range(len(table.columns)):
        wide = GAP + _column_width(table, j)
        if blocks[-1] and used + wide > width:
            blocks.append([])
            used = before
        blocks[-1].append(j)
        used += wide
    return blocks


def _column_width(table: Table, position: int) -> int:
    """Of the longest number, or the longest word of the heading."""
    column = table.columns[position]
    texts = [line for row in table.cells for line in _cell(table, row[position]).plain.split("\n")]
    words_above = [
        w for text in (column.label + marker(column.notes), column.group, column.metric) for w in text.split()
    ]
    return max(map(len, [*texts, *(word[:LONGEST_WORD] for word in words_above)]))


def _labels_width(table: Table) -> int:
    labels = max((len(line.label + marker(line.notes)) for line in table.lines), default=0)
    facts = [
        max(map(len, [heading, *texts]))
        for heading, *texts in zip(table.facts, *(map(fact_text, x.facts) for x in table.lines), strict=True)
    ]
    return (
        max(labels, max((len(line.group) for line in table.lines), default=0)) + sum(fact + GAP for fact in facts) + GAP
    )


def _block(table: Table, fold: bool) -> RichTable:
    """``fold``: the labels of rows too, where they would leave little room."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    made = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("model", overflow="fold", no_wrap=not fold)
    for fact in table.facts:
        made.add_column(Text(fact), overflow="fold")
    for j, column in enumerate(table.columns):
        heading = [column.group] if any(c.group for c in table.columns) else []
        heading += [column.label + marker(column.notes), column.metric]
        least = None if fold else _column_width(table, j)
        made.add_column(Text("\n".join(heading)), justify="right", overflow="fold", vertical="bottom", min_width=least)
    before = ""
    for line, row in zip(table.lines, table.cells, strict=True):
        if line.group != before:
            made.add_section()
            made.add_row(Text(line.group, style="italic"))
            before = line.group
        label = Text(line.label).append(marker(line.notes), style="dim")
        made.add_row(label, *(Text(fact_text(fact)) for fact in line.facts), *(_cell(table, cell) for cell in row))
    return made


def _cell(table: Table, cell: object) -> Text:
    from rich.text import Text

    said = words(cell, table.brackets)  # type: ignore[arg-type]
    text = Text(said.value, style=STYLES[said.emphasis])
    if said.published:
        text.append(("\n" if said.value else "") + said.published, style="dim")
    text.append(said.symbols if not said.published else f" {said.symbols}" * bool(said.symbols), style="yellow")
    return text.append(said.notes, style="dim")
