"""Measured beside published: what is chosen, averaged, marked and subtracted."""

from __future__ import annotations

from statistics import mean, stdev

import pytest
from results_factory import make_record

from ssl_bench.errors import SettingsError, UnknownNameError
from ssl_bench.registry import registry
from ssl_bench.reporting import cells as module
from ssl_bench.reporting.cells import Cell, measured
from ssl_bench.reporting.grid import Table
from ssl_bench.reporting.ranks import rank
from ssl_bench.reporting.tables import comparison
from ssl_bench.reporting.text import measured_text
from ssl_bench.results.record import IntervalFacts


def cell(table: Table, model: str, task: str) -> Cell:
    return next(c for _, _, c in table.filled() if (c.model, c.task) == (model, task))


def test_measured_stands_beside_published_with_the_difference() -> None:
    table = comparison([make_record(task="knn_imagenet", top1=74.2, n_test=50000), make_record(task="knn_digits")])
    found = cell(table, "dino_vits16", "knn_imagenet")
    assert found.published is not None
    assert found.published.value == 74.5
    assert found.difference == pytest.approx(-0.3)
    assert (found.interval, found.level) == ("wilson", 0.95)
    assert cell(table, "dino_vits16", "knn_digits").published is None
    alone = comparison([make_record(task="knn_imagenet")], published=False)
    assert cell(alone, "dino_vits16", "knn_imagenet").published is None


def test_speed_has_no_difference_because_machines_differ() -> None:
    record = make_record(task="throughput_imagenet", primary="images_per_second", top1=4000.0)
    found = cell(comparison([record]), "dino_vits16", "throughput_imagenet")
    assert found.published is not None
    assert found.published.value == 1007
    assert found.difference is None


def test_a_number_of_another_metric_is_not_put_beside() -> None:
    record = make_record(task="knn_imagenet", primary="mean_per_class", top1=70.0)
    assert cell(comparison([record]), "dino_vits16", "knn_imagenet").published is None


def test_a_partial_number_has_no_difference() -> None:
    found = cell(comparison([make_record(task="knn_imagenet", partial=True)]), "dino_vits16", "knn_imagenet")
    assert found.marks == ("partial",)
    assert found.published is not None
    assert found.difference is None


def test_several_seeds_give_mean_and_deviation() -> None:
    values = [90.0, 92.0, 93.0]
    records = [make_record(top1=value, seed=seed, minute=seed) for seed, value in enumerate(values)]
    superseded = make_record(top1=10.0, seed=1)
    found = measured([superseded, *records])
    assert found.value == pytest.approx(mean(values))
    assert found.std == pytest.approx(stdev(values))
    assert found.seeds == 3
    assert measured_text(found) == "91.7 ±1.5 (n=3)"
    assert (found.low, found.high) == pytest.approx((mean(values) - stdev(values), mean(values) + stdev(values)))
    assert set(found.run_ids) == {record.run_id for record in records}


def test_seeds_of_other_versions_settings_or_images_are_not_averaged() -> None:
    base = make_record(seed=0, minute=1, task_version=2)
    others = [
        make_record(seed=1, minute=2, task_version=1),
        make_record(seed=2, minute=1, task_version=2, settings={"k": [5]}, overrides={"k": [5]}),
        make_record(seed=3, minute=1, task_version=2, partial=True),
    ]
    assert measured([*others[:1], base]).run_ids == (base.run_id,)
    assert measured([base, others[2]]).run_ids == (base.run_id,)
    assert measured([others[1], base]).seeds == 1


def test_usual_complete_and_newest_records_are_preferred() -> None:
    usual, custom = make_record(minute=1), make_record(minute=2, settings={"k": [20]}, overrides={"k": [20]})
    assert measured([usual, custom]).run_ids == (usual.run_id,)
    assert measured([custom]).marks == ("custom",)
    assert measured([usual, make_record(minute=3, partial=True)]).run_ids == (usual.run_id,)
    newer = make_record(minute=4, top1=91.0)
    assert measured([newer, usual]).run_ids == (newer.run_id,)


def test_stale_records_are_marked_and_not_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    card = registry().task("knn_digits")
    monkeypatch.setattr(module, "_card", lambda task: card.model_copy(update={"version": 2}))
    records = [
        make_record(top1=99.0, task_version=1),
        make_record("mae_x", top1=80.0, task_version=2),
        make_record("byol_x", top1=60.0, task_version=2),
    ]
    table = comparison(records)
    assert cell(table, "dino_vits16", "knn_digits").marks == ("stale",)
    assert cell(table, "mae_x", "knn_digits").marks == ("best",)


def test_tasks_without_a_card_are_neither_stale_nor_custom() -> None:
    assert measured([make_record(task="gone_task")]).marks == ()


def test_choosing_on_the_test_set_is_marked() -> None:
    assert measured([make_record(selection="best_on_test")]).marks == ("best_on_test",)


def _point(value: float | None, half: float = 0.0, metric: str = "top1", **more: object) -> Cell:
    bounds = {} if value is None else {"low": value - half, "high": value + half}
    return Cell("m", "t", metric, value=value, **bounds, **more)  # type: ignore[arg-type]


def test_best_second_and_tied() -> None:
    marks = [c.marks for c in rank([_point(50, 1), _point(90, 2), _point(87, 2), _point(None), _point(85.5, 1)])]
    assert marks == [(), ("best",), ("second", "tied"), (), ()]


def test_equal_values_are_both_best_and_lower_wins_where_it_should() -> None:
    assert [c.marks for c in rank([_point(90), _point(90), _point(80)])] == [("best",), ("best",), ("second",)]
    assert [c.marks for c in rank([_point(0.2, metric="rmse"), _point(0.9, metric="rmse")])] == [
        ("best",),
        ("second",),
    ]


def test_nothing_is_ranked_alone_without_number_or_across_metrics() -> None:
    assert [c.marks for c in rank([_point(90)])] == [()]
    assert [c.marks for c in rank([_point(90), _point(80, metric="mean_per_class")])] == [(), ()]
    assert [c.marks for c in rank([_point(120, metric="rankme"), _point(9, metric="rankme")])] == [(), ()]
    assert [c.marks for c in rank([_point(float("nan")), _point(80), _point(70)])] == [(), ("best",), ("second",)]


def test_rows_come_best_first_or_as_they_are_named() -> None:
    records = [make_record("a_x", top1=50.0), make_record("b_x", top1=80.0), make_record("c_x", task="knn_other")]
    assert [line.label for line in comparison(records).lines] == ["b_x", "a_x", "c_x"]
    assert [line.label for line in comparison(records, models=["a_x,b_x"]).lines] == ["a_x", "b_x"]
    assert [line.label for line in comparison(records, models=["[bc]_*"]).lines] == ["b_x", "c_x"]


def test_filters_name_what_is_not_there() -> None:
    records = [make_record()]
    assert [c.task for c in comparison(records).columns] == ["knn_digits"]
    assert [c.task for c in comparison(records, tasks=["knn_*"]).columns] == ["knn_digits", "knn_imagenet"]
    with pytest.raises(UnknownNameError, match=r"no model with numbers named 'dino_vits17'.*\n.*dino_vits16"):
        comparison(records, models=["dino_vits17"])
    with pytest.raises(UnknownNameError, match=r"no task with numbers named 'zzz'.*\n.*There are: .*knn_digits"):
        comparison(records, tasks=["zzz"])


def test_models_with_published_numbers_only_are_shown_when_named() -> None:
    table = comparison([], models=["dino_vits16", "swav_*"], tasks=["knn_imagenet"])
    assert [line.label for line in table.lines][:2] == ["dino_vits16", "swav_resnet50"]
    found = cell(table, "dino_vits16", "knn_imagenet")
    assert found.value is None
    assert found.published is not None
    both = comparison([make_record()], models=["dino_vits16"], tasks=["knn_imagenet"])
    assert cell(both, "dino_vits16", "knn_imagenet").published is not None


def test_no_records_give_an_empty_table() -> None:
    table = comparison([])
    assert (table.lines, table.columns, table.rows()) == ((), (), [])


def test_the_papers_table_has_its_rows_columns_and_the_measured_numbers() -> None:
    record = make_record(task="knn_imagenet", top1=74.2, n_test=50000)
    table = comparison([record], paper="dino", table="2")
    assert len(table.lines) == 25
    assert [(c.label, c.metric, c.task) for c in table.columns] == [
        ("im/s", "im_per_s", "throughput_imagenet"),
        ("Linear", "top1", "linear_imagenet"),
        ("k-NN", "top1", "knn_imagenet"),
    ]
    place = [line.label for line in table.lines].index("DINO ViT-S")
    found = table.cells[place][2]
    assert found is not None
    assert (found.value, found.difference) == (74.2, pytest.approx(-0.3))
    byol = [line.label for line in table.lines].index("BYOL RN50w4")
    assert table.cells[byol][2] is None
    assert sum(c.published is not None for _, _, c in table.filled()) == 25 * 3 - 2


def test_an_ablation_of_the_paper_never_gets_a_measured_number() -> None:
    record = make_record("byol_vits16", task="knn_imagenet")
    table = comparison([record], paper="dino", table="7")
    assert all(c.value is None for _, _, c in table.filled())


def test_the_papers_table_can_be_narrowed() -> None:
    table = comparison([], paper="dino", table="6", models=["dino_*"], tasks=["finetune_cars"])
    assert [line.label for line in table.lines] == ["DINO ViT-S/16", "DINO ViT-B/16"]
    assert [c.label for c in table.columns] == ["Cars"]
    assert comparison([], paper="dino").title.endswith("Table 2. Linear and k-NN classification on ImageNet")
    with pytest.raises(SettingsError, match="no table"):
        comparison([], paper="dino", table="99")


def test_an_interval_without_level_is_kept_as_it_is() -> None:
    facts = IntervalFacts(low=80.0, high=84.0, level=0.0, kind="std over 3 splits")
    found = measured([make_record(top1=82.0, interval=facts)])
    assert (found.low, found.high, found.level, found.interval) == (80.0, 84.0, 0.0, "std over 3 splits")
