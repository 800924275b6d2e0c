"""Published numbers: all 489, nothing lost or changed against the reference list, and tied to models and tasks that exist."""

from __future__ import annotations

import csv
import hashlib
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
    """The rows that must be in the files: all scores, that is all but configurations, costs and differences."""
    data = Path(os.environ.get("SSL_BENCH_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")
    path = data.parent / "reference" / "published_results.csv"
    if not path.is_file():
        pytest.skip("the reference list of published results is not here")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
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
    assert len(reference) == 489
    assert Counter(map(_of_file, numbers())) == Counter(map(_of_reference, reference))
    assert max(Counter(map(_of_file, numbers())).values()) == 1


def test_whole_numbers_are_those_that_were_printed_so(reference: list[dict[str, str]]) -> None:
    printed = {_of_reference(row): row["value"] for row in reference}
    assert all(str(number.value) == printed[_of_file(number)] for number in numbers())


def test_the_numbers_are_those_that_were_compared() -> None:
    """The sum holds without the reference list, which a checkout alone does not have: it changes with any number or note."""
    rows = sorted(map(_of_file, numbers()))
    assert len(rows) == 489
    digest = hashlib.sha256("\n".join("|".join(row) for row in rows).encode()).hexdigest()
    assert digest == "325a0dbea07fb7e22b4851ae64246bbaf83e193c78a0859a33f9d2b87c67a448"


def test_every_number_of_a_model_or_task_names_one_that_exists() -> None:
    known = registry()
    assert {n.model for n in numbers() if n.model} <= set(known.models)
    for task in {n.task for n in numbers() if n.task}:
        known.task(task)
    papers = [known.papers.get(name) for name in known.papers]
    tables = [table for paper in papers for table in paper.tables.values()]
    assert all(set(row.tasks) <= {c.task for c in table.columns} for table in tables for row in table.rows)


def test_most_numbers_can_be_measured_here() -> None:
    """What has none is an ablation, a network that nobody released, or an input that no network here takes."""
    tied = [n for n in numbers() if n.model and n.task]
    assert len(tied) > 250
    assert {n.column.modality for n in numbers() if n.task is None and n.row.model} >= {"d", "rgb+d", "pd"}


def test_tables_keep_the_order_of_the_paper(reference: list[dict[str, str]]) -> None:
    """Tables, rows and columns, each in the order of the reference list."""
    for paper in registry().papers:
        theirs = [row for row in reference if row["source"] == paper]
        rows = [(r["table"], r["method"], r["arch"], _text(float(r["epochs"])) if r["epochs"] else "") for r in theirs]
        ours = [(n.table, n.row.method, n.row.arch, _text(n.row.epochs)) for n in numbers(paper)]
        assert list(dict.fromkeys(ours)) == list(dict.fromkeys(rows))
        columns = [(r["table"], r["protocol"], r["dataset"], r["modality"]) for r in theirs]
        found = [(n.table, n.column.protocol, n.column.dataset, n.column.modality) for n in numbers(paper)]
        assert list(dict.fromkeys(found)) == list(dict.fromkeys(columns))


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
        ("swav_resnet50w2", "linear_swav_imagenet"): 77.3,
        ("mae_vitl16", "finetune_imagenet"): 84.9,
        ("msn_vitl7", "low_shot_5_imagenet"): 72.1,
        ("clip_vitl14", "zero_shot_food101"): 92.9,
        ("multimae_vitb16", "depth_nyuv2"): 86.4,
    }
    for (model, task), value in expected.items():
        assert lookup(model, task)[0].value == value, (model, task)


def test_a_row_whose_authors_have_a_recipe_of_their_own_is_measured_by_that() -> None:
    (swav,) = lookup("swav_resnet50", "linear_swav_imagenet")
    assert (swav.column.task, swav.value) == ("linear_imagenet", 75.3)
    assert lookup("swav_resnet50", "linear_imagenet") == []
    (clip,) = lookup("clip_vitl14", "linear_clip_imagenet")
    assert (clip.value, clip.differs) == (83.9, "")
    by_sgd = lookup("clip_vitl14", "linear_imagenet")
    assert [(n.row.method, bool(n.differs)) for n in by_sgd] == [("CLIP, our transfer", True)]


def test_numbers_of_other_weights_say_so() -> None:
    (baseline,) = lookup("mae_vitl16", "finetune_imagenet")
    assert "800 epochs" in baseline.differs
    assert all("LAION-2B" in n.differs for n in numbers("flip") if n.model == "flip_vith14")


def test_what_no_model_here_is_stays_untied() -> None:
    """Baselines that the DINO authors trained themselves, ablations, and training from scratch have no card."""
    untied = {(n.table, n.row.method) for n in numbers() if n.model is None}
    assert ("Table 7", "DINO with MSE loss") in untied
    assert ("Section 4 baseline table", "scratch, original") in untied
    assert lookup("byol_vits16", "knn_imagenet") == []
    assert all(n.model is None for n in numbers() if n.table == "Table 7")


def test_doubt_place_and_metric_are_kept() -> None:
    assert {(n.paper, n.value) for n in numbers() if n.doubtful} == {
        ("dino", 76.8),
        ("ijepa", 53.5),
        ("msn", 79.4),
        ("multimae", 50.1),
        ("sdae", 76.2),
    }
    (doubtful,) = [n for n in numbers("dino") if n.doubtful]
    assert (doubtful.model, doubtful.task, doubtful.value) == ("simclr_resnet50w4", "linear_simclr_imagenet", 76.8)
    assert doubtful.note.startswith("doubtful: official SimCLR repository README prints 76.6")
    assert doubtful.source == "Caron et al. (ICCV 2021), Table 2"
    assert doubtful.url == "https://arxiv.org/abs/2104.14294"
    (speed,) = lookup("dino_vits16", "throughput_imagenet")
    assert (speed.metric, speed.value) == ("images_per_second", 1007)
    assert lookup("dino_vits16", "throughput_imagenet", metric="top1") == []


def test_the_models_own_paper_comes_first() -> None:
    found = [n for n in numbers() if n.task == "finetune_imagenet"]
    assert {n.paper for n in found} == {"dino", "mae", "flip", "msn", "sdae"}
    assert own_first("mae_vitl16", found)[0].paper == "mae"
    assert own_first("dino_vits16", found[::-1])[0].paper == "dino"


def test_networks_that_nobody_released_are_untied() -> None:
    """DeepMind released BYOL's ResNet-50 and ResNet-200 x2 only; the papers print others."""
    assert has_card("byol_resnet200w2")
    assert not has_card("byol_resnet50w4")
    assert {n.model for n in numbers() if (n.row.method, n.row.arch) == ("BYOL", "RN50w4")} == {None}


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
    path.write_text(path.read_text().replace("values: [1.0, 2.0]", "tasks: {knn_x: knn_y}, values: [1.0]"))
    with pytest.raises(CardError, match="M R replaces knn_x, which is no column's task"):
        read_card(PublishedPaper, path)


def test_every_paper_reads() -> None:
    names = list(registry().papers)
    assert {"dino", "mae"} <= set(names)
    for name in names:
        assert numbers(name)
