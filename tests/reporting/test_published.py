"""Published numbers: nothing lost or changed against the reference list, and tied to the right models and tasks."""

from __future__ import annotations

import csv
import os
from collections import Counter
from pathlib import Path

import pytest

from ssl_bench.cards import PublishedPaper
from ssl_bench.errors import CardError, SettingsError, UnknownNameError
from ssl_bench.registry import registry
from ssl_bench.reporting.published import PublishedNumber, find_table, has_card, lookup, numbers, own_first
from ssl_bench.yaml_cards import read_card

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def reference() -> list[dict[str, str]]:
    """The rows that must be in the files: all numbers of the two papers but configurations and differences."""
    data = Path(os.environ.get("SSL_BENCH_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")
    path = data.parent / "reference" / "published_results.csv"
    if not path.is_file():
        pytest.skip("the reference list of published results is not here")
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["source"] in {"dino", "mae"}]
    return [r for r in rows if r["protocol"] not in {"config", "compute"} and not r["metric"].endswith("_gain")]


def _text(value: float | None) -> str:
    return "" if value is None else repr(float(value))


def _of_file(number: PublishedNumber) -> tuple[str, ...]:
    row, column = number.row, number.column
    return (
        *(number.paper, number.table, row.method, row.arch, _text(row.params_m), _text(row.epochs), row.views or ""),
        *(row.pretrain_data or "", row.supervision, column.protocol, column.dataset, column.modality, column.metric),
        *(_text(number.value), _text(number.std), str(number.doubtful), *sorted(number.note.split("; "))),
    )


def _of_reference(row: dict[str, str]) -> tuple[str, ...]:
    def number(name: str) -> str:
        return _text(float(row[name])) if row[name] else ""

    return (
        *(row["source"], row["table"], row["method"], row["arch"], number("params_m"), number("epochs")),
        *(row["crops_or_views"], row["pretrain_data"], row["supervision"], row["protocol"], row["dataset"]),
        *(row["modality"], row["metric"], number("value"), number("std"), str(row["note"].startswith("doubtful"))),
        *sorted(row["note"].split("; ")),
    )


def test_no_number_or_note_is_lost_or_changed(reference: list[dict[str, str]]) -> None:
    assert Counter(map(_of_file, numbers())) == Counter(map(_of_reference, reference))


def test_tables_keep_the_order_of_the_paper(reference: list[dict[str, str]]) -> None:
    places = [(row["source"], row["table"], row["method"], row["arch"]) for row in reference]
    assert list(dict.fromkeys((n.paper, n.table, n.row.method, n.row.arch) for n in numbers())) == list(
        dict.fromkeys(places)
    )


def test_lookup_of_numbers_known_by_heart() -> None:
    # DINO's README and Table 2.
    expected = {
        ("dino_vits16", "knn_imagenet"): 74.5,
        ("dino_vits16", "linear_imagenet"): 77.0,
        ("dino_vitb8", "linear_imagenet"): 80.1,
        ("dino_resnet50", "knn_imagenet"): 67.5,
        ("dino_vits8", "attention_voc12"): 44.7,
        ("dino_vitb16", "finetune_imagenet"): 82.8,
        ("supervised_resnet50", "knn_imagenet"): 79.3,
        ("swav_resnet50w2", "linear_imagenet"): 77.3,
        ("mae_vitl16", "finetune_imagenet"): 84.9,
    }
    for (model, task), value in expected.items():
        assert [n.value for n in lookup(model, task)] == [value], (model, task)


def test_what_no_model_here_is_stays_untied() -> None:
    """Baselines that the DINO authors trained themselves, ablations, and training from scratch have no card."""
    untied = {(n.table, n.row.method) for n in numbers() if n.model is None}
    assert ("Table 7", "DINO with MSE loss") in untied
    assert ("Section 4 baseline table", "scratch, original") in untied
    assert lookup("byol_vits16", "knn_imagenet") == []
    assert all(n.model is None for n in numbers() if n.table == "Table 7")


def test_doubt_place_and_metric_are_kept() -> None:
    (doubtful,) = [n for n in numbers() if n.doubtful]
    assert (doubtful.model, doubtful.task, doubtful.value) == ("simclr_resnet50w4", "linear_imagenet", 76.8)
    assert doubtful.note.startswith("doubtful: official SimCLR repository README prints 76.6")
    assert doubtful.source == "Caron et al. (ICCV 2021), Table 2"
    assert doubtful.url == "https://arxiv.org/abs/2104.14294"
    (speed,) = lookup("dino_vits16", "throughput_imagenet")
    assert (speed.metric, speed.value) == ("images_per_second", 1007)
    assert lookup("dino_vits16", "throughput_imagenet", metric="top1") == []


def test_the_models_own_paper_comes_first() -> None:
    found = [n for n in numbers() if n.task == "finetune_imagenet"]
    assert {n.paper for n in found} == {"dino", "mae"}
    assert own_first("mae_vitl16", found)[0].paper == "mae"
    assert own_first("dino_vits16", found[::-1])[0].paper == "dino"


def test_cards_may_be_missing() -> None:
    """DeepMind released BYOL's ResNet-50 and ResNet-200 x2 only; the papers print others."""
    assert has_card("dino_vits16")
    assert has_card("obow_resnet50")
    assert not has_card("byol_resnet50w4")
    assert any(n.model == "byol_resnet50w4" for n in numbers())


def test_tables_are_found_by_name_or_number() -> None:
    assert find_table("dino", "2") == find_table("dino", "table 2") == ("Table 2", find_table("dino", "Table 2")[1])
    assert find_table("dino", "figure 4")[0] == "Figure 4"
    with pytest.raises(SettingsError, match=r"no table '9'.*\n.*Table 2, Figure 4"):
        find_table("dino", "9")
    with pytest.raises(UnknownNameError, match="Did you mean: dino"):
        find_table("dinno", "2")


def test_a_row_of_the_wrong_length_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "paper.yaml"
    path.write_text(
        "paper: {title: T, authors: A}\n"
        "tables:\n"
        "  Table 1:\n"
        "    columns: [{protocol: knn, dataset: D, metric: top1}]\n"
        "    rows:\n"
        "      - {method: M, arch: R, values: [1.0, 2.0]}\n"
    )
    with pytest.raises(CardError, match="M R has 2 values for 1 columns"):
        read_card(PublishedPaper, path)


def test_every_paper_reads() -> None:
    names = list(registry().papers)
    assert {"dino", "mae"} <= set(names)
    for name in names:
        assert numbers(name)
