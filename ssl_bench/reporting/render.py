"""Tables as text: rich (terminal), md, csv, latex, html, json. Data formats keep numbers unformatted."""

from __future__ import annotations

import csv
import html
import io
import json
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ssl_bench.errors import SettingsError
from ssl_bench.reporting.grid import Table
from ssl_bench.reporting.text import Words, legend, words

if TYPE_CHECKING:
    from rich.table import Table as RichTable


def render(table: Table, format: str, width: int = 120) -> str:
    """The table as text that ends with a newline. ``format``: rich, md, csv, latex, html or json; ``width``: of rich, in characters."""
    if format == "rich":
        return _plain_rich(table, width)
    if format not in FORMATS:
        raise SettingsError(f"{format!r} is no format of tables.", f"There are: rich, {', '.join(FORMATS)}")
    return FORMATS[format](table)


def as_rich(table: Table) -> RichTable:
    """For a rich console: measured number above, the paper's below it."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    made = RichTable(
        title=Text(table.title, style="bold"),
        caption=Text("\n".join(_legend(table)), style="dim") if _legend(table) else None,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        pad_edge=False,
    )
    made.add_column("model", overflow="fold")
    for column in table.columns:
        made.add_column(Text(f"{column.label}\n{column.metric}"), justify="right", overflow="fold")
    styles = {"best": "bold green", "second": "green", "": ""}
    for line, row in zip(table.lines, table.cells, strict=True):
        cells = []
        for said in map(words, row):
            text = Text(said.value, style=styles[said.emphasis])
            if said.published:
                text.append(("\n" if said.value else "") + said.published, style="dim")
            text.append(said.symbols if not said.published else f" {said.symbols}", style="yellow")
            cells.append(text)
        made.add_row(Text(line.label), *cells)
    return made


def _plain_rich(table: Table, width: int) -> str:
    from rich.console import Console

    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(as_rich(table))
    return stream.getvalue()


def _markdown(table: Table) -> str:
    emphasis: dict[str, Callable[[str], str]] = {"best": "**{}**".format, "second": "<u>{}</u>".format, "": str}

    def cell(said: Words) -> str:
        value = emphasis[said.emphasis](escape_markdown(said.value)) if said.value else ""
        return value + escape_markdown(said.one_line[len(said.value) :])

    lines = [f"**{escape_markdown(table.title)}**", ""]
    lines.append(_pipes(["model", *(escape_markdown(column.label) for column in table.columns)]))
    lines.append(_pipes(["---", *("---:" for _ in table.columns)]))
    for line, row in zip(table.lines, table.cells, strict=True):
        lines.append(_pipes([escape_markdown(line.label), *(cell(words(c)) for c in row)]))
    if notes := _legend(table):
        lines += ["", escape_markdown("; ".join(notes))]
    return "\n".join(lines) + "\n"


def _pipes(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _csv(table: Table) -> str:
    stream = io.StringIO()
    rows = table.rows()
    writer = csv.DictWriter(stream, fieldnames=list(rows[0]) if rows else ["row", "column"], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: " ".join(value) if isinstance(value, list) else value for key, value in row.items()})
    return stream.getvalue()


def _json(table: Table) -> str:
    return json.dumps({"title": table.title, "rows": finite(table.rows())}, indent=2, ensure_ascii=False) + "\n"


def finite(value: Any) -> Any:
    """Numbers that are not finite as null: JSON has none."""
    if isinstance(value, list):
        return [finite(item) for item in value]
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _latex(table: Table) -> str:
    """For the package booktabs; best bold, second underlined."""
    emphasis = {"best": r"\textbf{", "second": r"\underline{"}

    def cell(said: Words) -> str:
        opened = emphasis.get(said.emphasis, "")
        value = opened + escape_latex(said.value) + ("}" if opened else "")
        return value + escape_latex(said.one_line[len(said.value) :])

    lines = [r"\begin{table}", r"\centering", rf"\caption{{{escape_latex(table.title)}}}"]
    lines += [rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}", r"\toprule"]
    lines += [" & ".join(["Model", *(escape_latex(column.label) for column in table.columns)]) + r" \\", r"\midrule"]
    for line, row in zip(table.lines, table.cells, strict=True):
        lines.append(" & ".join([escape_latex(line.label), *(cell(words(c)) for c in row)]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    if notes := _legend(table):
        lines.append(r"\par\smallskip\footnotesize " + escape_latex("; ".join(notes)))
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _html(table: Table) -> str:
    """A ``<table>`` without styles, to be put into a page."""
    emphasis = {"best": ("<strong>", "</strong>"), "second": ("<u>", "</u>"), "": ("", "")}

    def cell(said: Words) -> str:
        before, after = emphasis[said.emphasis]
        value = before + html.escape(said.value) + after if said.value else ""
        return f"<td>{value}{html.escape(said.one_line[len(said.value) :])}</td>"

    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in ["model", *(c.label for c in table.columns)])
    rows = [
        f'<tr><th scope="row">{html.escape(line.label)}</th>{"".join(cell(words(c)) for c in row)}</tr>'
        for line, row in zip(table.lines, table.cells, strict=True)
    ]
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in _legend(table))
    caption = f"<caption>{html.escape(table.title)}</caption>"
    return (
        "\n".join(
            ["<table>", caption, f"<thead><tr>{head}</tr></thead>", "<tbody>", *rows, "</tbody>", "</table>", notes]
        )
        + "\n"
    )


FORMATS: dict[str, Callable[[Table], str]] = {
    "md": _markdown,
    "csv": _csv,
    "latex": _latex,
    "html": _html,
    "json": _json,
}


def escape_markdown(text: str) -> str:
    """Nothing in ``text`` is taken as markup; an underscore inside a word is none anyway."""
    text = re.sub(r"([\\`*\[\]|~#])", r"\\\1", text.replace("\n", " "))
    text = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escape_latex(text: str) -> str:
    """Nothing in ``text`` is taken as a command; the symbols that we use become LaTeX's."""
    return "".join(_LATEX.get(character, character) for character in text.replace("\n", " "))


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$\,",
    "−": "$-$",
    "≈": r"$\approx$",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "§": r"\S{}",
    "✓": r"$\surd$",
    "✗": r"$\times$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "*": r"$^{*}$",
    **{character: "\\" + character for character in "{}$&#%_"},
}


def _legend(table: Table) -> list[str]:
    return legend(cell for _, _, cell in table.filled())
