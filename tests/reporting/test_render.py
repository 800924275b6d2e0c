"""Six formats: data formats keep numbers as they are, the others are read back by a parser of their own."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser

import pytest
from results_factory import make_record
from rich.console import Console

from ssl_bench.errors import SettingsError
from ssl_bench.reporting.cells import Cell
from ssl_bench.reporting.grid import Column, Line, Table
from ssl_bench.reporting.render import FORMATS, as_rich, escape_latex, escape_markdown, render
from ssl_bench.reporting.tables import comparison
from ssl_bench.reporting.text import number, signed

EVIL = r"a|b_c*d*<script>alert(1)</script>&%$#{}~^\[x](y)`z`"


@pytest.fixture
def table() -> Table:
    records = [
        make_record(task="knn_imagenet", top1=74.2, n_test=50000),
        make_record("supervised_resnet50", task="knn_imagenet", top1=79.1, n_test=50000),
        make_record("mae_x", task="knn_imagenet", top1=79.0, n_test=50000, partial=True),
    ]
    return comparison(records)


@pytest.fixture
def evil() -> Table:
    cells = ((Cell(EVIL, EVIL, "top1", value=50.0, low=49.0, high=51.0, level=0.95, interval=EVIL),),)
    return Table(EVIL, (Line(EVIL, EVIL),), (Column(EVIL, EVIL, "top1"),), cells)


def test_numbers_are_written_as_papers_do() -> None:
    assert [number(74.25, "top1"), number(1.0, "mean_per_class"), number(float("nan"), "top1")] == [
        "74.2",
        "1.0",
        "nan",
    ]
    assert [number(1237.4, "images_per_second"), number(0.123456, "uniformity")] == ["1237", "0.1235"]
    assert [signed(-0.3, "top1"), signed(0.0, "top1")] == ["−0.3", "+0.0"]


def test_json_and_csv_keep_unformatted_numbers(table: Table) -> None:
    rows = json.loads(render(table, "json"))["rows"]
    first = next(row for row in rows if row["model"] == "dino_vits16")
    assert (first["value"], first["published"], first["source"]) == (74.2, 74.5, "Caron et al. (ICCV 2021), Table 2")
    assert first["difference"] == pytest.approx(-0.3)
    assert first["low"] == pytest.approx(73.8, abs=0.1)
    lines = list(csv.DictReader(io.StringIO(render(table, "csv"))))
    assert [float(line["value"]) for line in lines] == [row["value"] for row in rows]
    assert [line["marks"].split() for line in lines] == [row["marks"] for row in rows]
    assert list(lines[0]) == list(rows[0])


def test_json_has_no_nan() -> None:
    rows = json.loads(render(comparison([make_record(metrics={"top1": float("nan")}, interval=None)]), "json"))["rows"]
    assert rows[0]["value"] is None


def test_markdown(table: Table) -> None:
    lines = render(table, "md").splitlines()
    assert "| supervised_resnet50 | **79.1 ±0.4** (paper 79.3, −0.2) |" in lines
    assert "| mae_x | *79.0 ±0.4*‡ |" in lines
    assert "| dino_vits16 | <u>74.2 ±0.4</u>✓ (paper 74.5, −0.3) |" in lines
    assert lines[-1].startswith("± 95 % interval (wilson); ‡ made on some of the images only")


def test_latex_has_best_bold_and_second_underlined(table: Table) -> None:
    text = render(table, "latex")
    assert r"supervised\_resnet50 & \textbf{79.1 $\pm$\,0.4} (paper 79.3, $-$0.2) \\" in text
    assert r"\underline{74.2 $\pm$\,0.4}" in text
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert text.count(rule) == 1
    assert text.count("{") == text.count("}")


class Cells(HTMLParser):
    """Texts of table cells and all tags met."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag in {"td", "th"}:
            self.texts.append("")

    def handle_data(self, data: str) -> None:
        if self.texts:
            self.texts[-1] += data


def test_html(table: Table) -> None:
    parser = Cells()
    parser.feed(render(table, "html"))
    texts = [text.strip() for text in parser.texts]
    assert texts[:4] == ["model", "knn_imagenet", "supervised_resnet50", "79.1 ±0.4 (paper 79.3, −0.2)"]
    assert parser.tags.count("strong") == parser.tags.count("u") == 1


def test_rich_text_and_console(table: Table) -> None:
    text = render(table, "rich", width=80)
    assert re.search(r"supervised_resnet50\s+79\.1 ±0\.4", text)
    assert "paper 79.3, −0.2" in text
    assert max(map(len, text.splitlines())) <= 80
    stream = io.StringIO()
    Console(file=stream, width=80).print(as_rich(table))
    assert stream.getvalue() == text


@pytest.mark.parametrize("format", ["rich", *FORMATS])
def test_hostile_names_stay_text(evil: Table, format: str) -> None:
    text = render(evil, format, width=400)
    if format == "html":
        parser = Cells()
        parser.feed(text)
        assert "script" not in parser.tags
        assert EVIL in parser.texts
    elif format == "md":
        assert "<script>" not in text
        row = next(line for line in text.splitlines() if "50.0" in line)
        assert len(re.findall(r"(?<!\\)\|", row)) == 3
    elif format == "latex":
        assert not re.search(r"(?<!\\)[&%#_](?!.*\\\\$)", text.split("caption")[1].split("\n")[0])
        assert r"\textbackslash{}" in text
        assert "~" not in text
    elif format == "json":
        assert json.loads(text)["rows"][0]["model"] == EVIL
    elif format == "csv":
        assert next(csv.DictReader(io.StringIO(text)))["model"] == EVIL
    else:
        assert EVIL in text


def test_escapes() -> None:
    assert escape_markdown("dino_vits16 _x_ a|b <b>") == r"dino_vits16 \_x\_ a\|b &lt;b&gt;"
    assert escape_latex("50% & a_b #1 ±2 ≈") == r"50\% \& a\_b \#1 $\pm$\,2 $\approx$"


@pytest.mark.parametrize("format", ["rich", *FORMATS])
def test_an_empty_table_renders(format: str) -> None:
    assert render(comparison([]), format).endswith("\n")


def test_published_only_and_doubtful(table: Table) -> None:
    made = comparison([], models=["simclr_resnet50w4"], tasks=["linear_simclr_imagenet"])
    text = render(made, "md")
    assert "| simclr_resnet50w4 | paper 76.8? |" in text
    assert text.rstrip().endswith("? printed number is doubtful")


def test_unknown_formats_are_named(table: Table) -> None:
    with pytest.raises(SettingsError, match=r"'pdf' is no format.*\n.*rich, md, csv, latex, html, json"):
        render(table, "pdf")
