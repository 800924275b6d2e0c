"""Tables as text: rich (terminal), md, csv, latex, html, json. Data formats keep numbers unformatted."""

from __future__ import annotations

import csv
import html
import io
import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from ssl_bench.errors import SettingsError
from ssl_bench.reporting.grid import Table
from ssl_bench.reporting.terminal import as_rich as as_rich
from ssl_bench.reporting.text import Words, fact_text, legend, marker, spans, words


def render(table: Table, format: str, width: int = 120) -> str:
    """The table as text that ends with a newline. ``format``: rich, md, csv, latex, html or json; ``width``: of rich, in characters."""
    if format == "rich":
        return _plain_rich(table, width)
    if format not in FORMATS:
        raise SettingsError(f"{format!r} is no format of tables.", f"There are: rich, {', '.join(FORMATS)}")
    return FORMATS[format](table)


def _plain_rich(table: Table, width: int) -> str:
    from rich.console import Console

    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(as_rich(table, width))
    return stream.getvalue()


def _markdown(table: Table) -> str:
    emphasis: dict[str, Callable[[str], str]] = {
        "best": "**{}**".format,
        "second": "<u>{}</u>".format,
        "faded": "*{}*".format,
        "": str,
    }

    def cell(said: Words) -> str:
        value = emphasis[said.emphasis](escape_markdown(said.value)) if said.value else ""
        return value + escape_markdown(said.one_line[len(said.value) :])

    lines = [f"**{escape_markdown(table.title)}**", ""]
    heads = [f"{c.group}: {c.label}" * bool(c.group) or c.label for c in table.columns]
    heads = [head + marker(c.notes) for head, c in zip(heads, table.columns, strict=True)]
    lines.append(_pipes([escape_markdown(text) for text in ["model", *table.facts, *heads]]))
    lines.append(_pipes(["---", *("---" for _ in table.facts), *("---:" for _ in heads)]))
    group = ""
    for line, row in zip(table.lines, table.cells, strict=True):
        if line.group != group:
            group = line.group
            lines.append(
                _pipes([f"*{escape_markdown(group)}*" * bool(group), *([""] * (len(table.facts) + len(heads)))])
            )
        said = [escape_markdown(text) for text in [line.label + marker(line.notes), *map(fact_text, line.facts)]]
        lines.append(_pipes([*said, *(cell(words(c, table.brackets)) for c in row)]))
    if notes := _legend(table):
        lines += ["", escape_markdown("; ".join(notes))]
    for note in _below(table):
        lines += ["", escape_markdown(note)]
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
    """For the packages booktabs and xcolor; best bold, second underlined, what is not ranked grey."""
    emphasis = {"best": r"\textbf{", "second": r"\underline{", "faded": r"\textcolor{gray}{"}

    def cell(said: Words) -> str:
        opened = emphasis.get(said.emphasis, "")
        value = opened + escape_latex(said.value) + ("}" if opened else "")
        return value + escape_latex(said.one_line[len(said.value) :])

    width = 1 + len(table.facts) + len(table.columns)
    lines = [
        "% needs \\usepackage{booktabs,xcolor}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape_latex(table.title)}}}",
    ]
    lines += [rf"\begin{{tabular}}{{l{'l' * len(table.facts)}{'r' * len(table.columns)}}}", r"\toprule"]
    if headings := spans([column.group for column in table.columns]):
        over = [rf"\multicolumn{{{n}}}{{c}}{{{escape_latex(text)}}}" for text, n in headings]
        lines.append(" & ".join(["", *([""] * len(table.facts)), *over]) + r" \\")
        lines.append(_rules(headings, 2 + len(table.facts)))
    heads = ["Model", *table.facts, *(column.label + marker(column.notes) for column in table.columns)]
    lines += [" & ".join(map(escape_latex, heads)) + r" \\", r"\midrule"]
    group = ""
    for line, row in zip(table.lines, table.cells, strict=True):
        if line.group != group:
            group = line.group
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\textit{{{escape_latex(group)}}}}} \\")
        said = [escape_latex(text) for text in [line.label + marker(line.notes), *map(fact_text, line.facts)]]
        lines.append(" & ".join([*said, *(cell(words(c, table.brackets)) for c in row)]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    if notes := [*filter(None, ["; ".join(_legend(table))]), *_below(table)]:
        lines.append(r"\par\smallskip\footnotesize " + escape_latex(" ".join(notes)))
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _rules(headings: Sequence[tuple[str, int]], first: int) -> str:
    """A line below each heading; ``first``: number of the first column below them."""
    rules = []
    for text, columns in headings:
        rules += [rf"\cmidrule(lr){{{first}-{first + columns - 1}}}"] * bool(text)
        first += columns
    return " ".join(rules)


def _html(table: Table) -> str:
    """A ``<table>`` without styles, to be put into a page."""
    emphasis = {"best": ("<strong>", "</strong>"), "second": ("<u>", "</u>")}
    emphasis["faded"] = ('<span style="color: gray">', "</span>")

    def cell(said: Words) -> str:
        before, after = emphasis.get(said.emphasis, ("", ""))
        value = before + html.escape(said.value) + after if said.value else ""
        return f"<td>{value}{html.escape(said.one_line[len(said.value) :])}</td>"

    names = ["model", *table.facts, *(c.label + marker(c.notes) for c in table.columns)]
    head = "<tr>" + "".join(f'<th scope="col">{html.escape(name)}</th>' for name in names) + "</tr>"
    if headings := spans([column.group for column in table.columns]):
        over = "".join(f'<th scope="colgroup" colspan="{n}">{html.escape(text)}</th>' for text, n in headings)
        head = f'<tr><td colspan="{1 + len(table.facts)}"></td>{over}</tr>{head}'
    rows = []
    group = ""
    for line, row in zip(table.lines, table.cells, strict=True):
        if line.group != group:
            group = line.group
            rows.append(f'<tr><th scope="rowgroup" colspan="{len(names)}">{html.escape(group)}</th></tr>')
        facts = "".join(f"<td>{html.escape(fact_text(fact))}</td>" for fact in line.facts)
        cells = "".join(cell(words(c, table.brackets)) for c in row)
        label = html.escape(line.label + marker(line.notes))
        rows.append(f'<tr><th scope="row">{label}</th>{facts}{cells}</tr>')
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in [*_legend(table), *_below(table)])
    caption = f"<caption>{html.escape(table.title)}</caption>"
    parts = ["<table>", caption, f"<thead>{head}</thead>", "<tbody>", *rows, "</tbody>", "</table>", notes]
    return "\n".join(parts) + "\n"


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


def _below(table: Table) -> list[str]:
    """Remarks, then numbered notes."""
    return [*table.remarks, *(f"[{i}] {note}" for i, note in enumerate(table.notes, 1))]
