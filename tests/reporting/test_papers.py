"""Papers' tables: the layout of each, notes, facts and verdicts, in every format."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from results_factory import make_record

from ssl_bench.registry import registry
from ssl_bench.reporting.grid import Table
from ssl_bench.reporting.published import numbers
from ssl_bench.reporting.render import render
from ssl_bench.reporting.tables import comparison
from ssl_bench.reporting.text import spans

TABLES = [(paper, table) for paper in registry().papers for table in registry().papers.get(paper).tables]


def made(paper: str, table: str, *records: object) -> Table:
    return comparison(list(records), paper=paper, table=table)  # type: ignore[arg-type]


def labels(table: Table) -> list[str]:
    return [line.label for line in table.lines]


@pytest.mark.parametrize(("paper", "table"), TABLES)
def test_every_number_of_every_table_is_shown_once_in_every_format(paper: str, table: str) -> None:
    laid_out = made(paper, table)
    printed = [n for n in numbers(paper) if n.table == table]
    shown = [cell.published for _, _, cell in laid_out.filled()]
    assert sorted(map(repr, shown)) == sorted(map(repr, printed))
    texts = sorted(str(n.value) + (f" ±{n.std}" if n.std is not None else "") for n in printed)
    for format in ("rich", "md", "html", "latex"):
        text = render(laid_out, format, width=400).replace(r" $\pm$\,", " ±")
        assert sorted(re.findall(r"\((\d+(?:\.\d+)?(?: ±\d\.\d)?)\)", text)) == texts, format
    assert len(json.loads(render(laid_out, "json"))["rows"]) == len(printed)
    assert len(render(laid_out, "csv").splitlines()) == len(printed) + 1


@pytest.mark.parametrize(("paper", "table"), TABLES)
def test_every_note_is_below_its_table(paper: str, table: str) -> None:
    laid_out = made(paper, table)
    text = render(laid_out, "rich", width=2000)
    for number in (n for n in numbers(paper) if n.table == table):
        for part in number.note.split("; "):
            assert part in text
    used = {i for line in laid_out.lines for i in line.notes} | {i for c in laid_out.columns for i in c.notes}
    used |= {i for _, _, cell in laid_out.filled() for i in cell.notes}
    assert used == set(range(1, len(laid_out.notes) + 1))


def test_dino_table_2_has_the_blocks_and_facts_of_the_paper() -> None:
    table = made("dino", "2")
    assert table.facts == ("M params",)
    assert [(line.group, line.facts) for line in table.lines if line.label in {"DINO RN50", "DINO ViT-B/8"}] == [
        ("", (23.0,)),
        ("Comparison across architectures", (85.0,)),
    ]
    assert labels(table)[:2] == ["Supervised RN50", "SimCLR RN50"]


def test_columns_of_one_data_set_stand_below_its_name() -> None:
    table = made("multimae", "3")
    assert spans([column.group for column in table.columns]) == [
        ("ADE20K (S)", 5),
        ("Hypersim (S)", 5),
        ("NYUv2 (S)", 5),
    ]
    assert [column.label for column in table.columns[:5]] == ["RGB", "pD", "RGB-pD", "RGB-pS", "RGB-pD-pS"]
    assert spans(["", ""]) == []


def test_rows_stand_below_their_heading() -> None:
    table = made("ijepa", "1")
    assert spans([line.group for line in table.lines]) == [
        ("Methods without view data augmentations", 8),
        ("Methods using extra view data augmentations", 3),
    ]
    assert render(table, "md").count("| *Methods using extra view data augmentations* |") == 1
    assert render(table, "latex").count(r"\textit{Methods using extra view data augmentations}") == 1


def test_figure_4_has_a_row_for_each_network_and_a_column_for_each_method() -> None:
    table = made("dino", "figure 4", make_record("dino_vits8", "attention_voc12", 44.6, primary="jaccard"))
    assert labels(table) == ["ViT-S/16", "ViT-S/8"]
    assert [column.label for column in table.columns] == ["Random", "Supervised", "DINO"]
    values = [[cell.published.value if cell and cell.published else None for cell in row] for row in table.cells]
    assert values == [[22.0, 27.3, 45.9], [21.8, 23.7, 44.7]]
    found = table.cells[1][2]
    assert found is not None
    assert (found.value, found.verdict) == (44.6, "reproduced")
    narrowed = comparison([], paper="dino", table="figure 4", models=["dino_*"])
    assert [cell.published.value for _, _, cell in narrowed.filled() if cell.published] == [45.9, 44.7]


def test_a_measured_cell_has_difference_interval_and_verdict() -> None:
    records = [
        make_record(task="knn_imagenet", top1=74.4, n_test=50000),
        make_record("dino_vits8", "knn_imagenet", 77.0, n_test=50000),
    ]
    table = made("dino", "2", *records)
    text = render(table, "md")
    assert "**" in text
    assert r"<u>74.4 ±0.4</u>✓ (74.5, −0.1)\[" in text
    assert r"**77.0 ±0.4**✗ (78.3, −1.3)\[" in text
    assert "Of 73 printed numbers 1 reproduced, 1 deviating, 71 not measured" in text
    row = next(r for r in json.loads(render(table, "json"))["rows"] if r["model"] == "dino_vits8" and r["value"])
    assert (row["verdict"], row["row_group"], row["M params"]) == (
        "deviates",
        "Comparison across architectures",
        21.0,
    )
    assert row["tolerance"] == pytest.approx(0.3)


def test_a_wide_table_is_cut_into_blocks_that_fit() -> None:
    table = made("flip", "4")
    for width in (80, 120, 160):
        lines = render(table, "rich", width=width).splitlines()
        assert max(map(len, lines)) <= width
        text = "\n".join(lines)
        assert sorted(re.findall(r"\((\d+\.\d)\)", text)) == sorted(
            str(n.value) for n in numbers("flip") if n.table == "Table 4"
        )


class Spans(HTMLParser):
    """Width of every row of a table."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[int] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append(0)
        if tag in {"td", "th"}:
            self.rows[-1] += int(dict(attrs).get("colspan") or 1)


@pytest.mark.parametrize(
    ("paper", "table"), [("msn", "1"), ("multimae", "2"), ("dino", "2"), ("mae", "Section 4 baseline table")]
)
def test_rows_of_html_and_latex_are_equally_wide(paper: str, table: str) -> None:
    laid_out = made(paper, table)
    parser = Spans()
    parser.feed(render(laid_out, "html"))
    assert set(parser.rows) == {1 + len(laid_out.facts) + len(laid_out.columns)}
    body = render(laid_out, "latex").split(r"\toprule")[1].split(r"\bottomrule")[0]
    for line in (line for line in body.splitlines() if line.endswith(r"\\")):
        wide = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", line))
        assert len(re.split(r"(?<!\\)&", line)) + wide == parser.rows[-1]


def test_whole_numbers_stay_whole() -> None:
    """MaskFeat's decimals are cut off at the edge of the picture: 81 is not 81.0."""
    text = render(made("maskfeat", "1"), "md")
    assert "(81)" in text
    assert "81.0)" not in text
