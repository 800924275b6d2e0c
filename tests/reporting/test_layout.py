"""Columns about models, headings, and numbers left out; in every format."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from results_factory import make_record

from ssl_bench.errors import SettingsError
from ssl_bench.reporting.grid import Table
from ssl_bench.reporting.layout import grouped, left_in, with_columns
from ssl_bench.reporting.render import FORMATS, render
from ssl_bench.reporting.tables import comparison
from ssl_bench.results.record import Record

NAMES = ["parameters", "pretraining", "epochs", "licence"]


def some_records() -> list[Record]:
    return [
        make_record("dino_vits16", "knn_imagenet", 74.2, n_test=50000),
        make_record("dino_vits16", "linear_imagenet", 77.0, n_test=50000),
        make_record("dino_vits16", "knn_digits", 97.0),
        make_record("mae_vitb16", "knn_imagenet", 50.0, n_test=50000),
        make_record("dino_resnet50", "knn_imagenet", 67.0, n_test=50000, partial=True),
        make_record("mine", "knn_digits", 90.0),
    ]


@pytest.fixture
def table() -> Table:
    return comparison(some_records())


def facts(table: Table, model: str) -> tuple[object, ...]:
    return next(line.facts for line in table.lines if line.model == model)


def test_columns_say_what_the_cards_say(table: Table) -> None:
    made = with_columns(table, some_records(), NAMES)
    assert made.facts == ("M params", "pretrained on", "epochs", "licence")
    assert facts(made, "mae_vitb16") == (21.0, "imagenet", 1600.0, "CC-BY-NC-4.0")
    assert facts(made, "mine") == (21.0, None, None, None)
    assert with_columns(table, [], ["method", "family", "architecture"]).lines[0].facts == (
        "dino",
        "negative-free",
        "vit_small_patch16_224",
    )


def test_rows_of_a_paper_keep_what_it_prints() -> None:
    made = with_columns(comparison([], paper="dino", table="2"), [], ["parameters", "pretraining", "licence"])
    ablation = next(line for line in made.lines if line.label == "MoCo-v2 ViT-S")
    assert (ablation.model, ablation.facts) == (None, (21.0, "imagenet", None))


@pytest.mark.parametrize("format", ["rich", *FORMATS])
def test_columns_are_in_every_format(table: Table, format: str) -> None:
    text = render(with_columns(table, some_records(), NAMES), format, width=200)
    if format == "json":
        row = next(row for row in json.loads(text)["rows"] if row["model"] == "mae_vitb16")
        assert (row["M params"], row["epochs"], row["licence"]) == (21.0, 1600, "CC-BY-NC-4.0")
    elif format == "csv":
        row = next(row for row in csv.DictReader(io.StringIO(text)) if row["model"] == "mae_vitb16")
        assert (row["M params"], row["epochs"], row["licence"]) == ("21.0", "1600.0", "CC-BY-NC-4.0")
    else:
        line = next(line for line in text.splitlines() if re.search(r"mae\\?_vitb16", line))
        places = [line.index(said) for said in ("21", "imagenet", "1600", "CC-BY-NC-4.0", "50.0")]
        assert places == sorted(places)


def test_tasks_of_one_protocol_stand_together(table: Table) -> None:
    made = grouped(table, "protocol")
    assert [(c.group, c.label) for c in made.columns] == [
        ("knn", "knn_imagenet"),
        ("knn", "knn_digits"),
        ("linear", "linear_imagenet"),
    ]
    kept = {(line.model, cell.task): cell.value for line, _, cell in made.filled() if cell.value}
    assert kept == {(record.model, record.task): record.value for record in some_records()}
    text = render(made, "latex")
    assert r"\multicolumn{2}{c}{knn} & \multicolumn{1}{c}{linear}" in text
    assert r"\cmidrule(lr){2-3} \cmidrule(lr){4-4}" in text
    assert '<th scope="colgroup" colspan="2">knn</th>' in render(made, "html")


def test_models_of_one_paper_stand_together(table: Table) -> None:
    made = grouped(table, "paper")
    groups = [(line.group.split(" ")[0], line.model) for line in made.lines]
    assert groups == [
        ("Emerging", "dino_vits16"),
        ("Emerging", "dino_resnet50"),
        ("Masked", "mae_vitb16"),
        ("no", "mine"),
    ]
    assert render(made, "latex").count(r"\textit{") == 3


def test_partial_numbers_are_grey_or_left_out(table: Table) -> None:
    assert r"\textcolor{gray}{67.0 $\pm$\,0.4}$\ddagger$" in render(table, "latex")
    assert '<span style="color: gray">67.0 ±0.4</span>‡' in render(table, "html")
    assert "*67.0 ±0.4*‡" in render(table, "md")
    without = comparison(left_in(some_records(), ["partial", "stale"]))
    assert "dino_resnet50" not in [line.model for line in without.lines]
    assert left_in(some_records(), []) == some_records()


def test_what_is_not_known_is_named(table: Table) -> None:
    with pytest.raises(SettingsError, match=r"'size' is no column.*\n.*parameters"):
        with_columns(table, [], ["size"])
    with pytest.raises(SettingsError, match=r"not grouped by 'year'.*\n.*protocol, paper"):
        grouped(table, "year")
    with pytest.raises(SettingsError, match=r"'best' cannot be left out.*\n.*custom, partial, stale"):
        left_in([], ["best"])
