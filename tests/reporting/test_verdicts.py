"""Reproduced, deviating or not measured: the tolerance by hand, its edges, and every reason why there is no verdict."""

from __future__ import annotations

import math
from typing import Any

import pytest
from results_factory import make_record

from ssl_bench.registry import PROTOCOLS, registry
from ssl_bench.reporting import cells as module
from ssl_bench.reporting.cells import Cell, beside
from ssl_bench.reporting.published import PublishedNumber, lookup, numbers
from ssl_bench.reporting.tolerance import Tolerance, allowed, rounding, tolerances
from ssl_bench.reporting.verdicts import obstacle, summary
from ssl_bench.results.record import IntervalFacts, Record


def printed(model: str, task: str, paper: str | None = None) -> PublishedNumber:
    return next(n for n in numbers(paper) if (n.model, n.task) == (model, task))


def judged(*records: Record, paper: str | None = None) -> Cell:
    model, task = records[0].model, records[0].task
    found = beside(list(records), [printed(model, task, paper)], model, task)
    assert found is not None
    return found


def knn(top1: float, **changes: Any) -> Record:
    return make_record(task="knn_imagenet", top1=top1, n_test=50000, **changes)


def test_the_tolerance_by_hand() -> None:
    dino, low_shot = printed("dino_vits16", "knn_imagenet"), printed("dino_vits16", "low_shot_1_imagenet")
    assert (dino.value, low_shot.value, low_shot.std) == (74.5, 38.9, 0.4)
    assert allowed(Tolerance(known=0.2, why="x"), dino) == pytest.approx(0.25)
    assert allowed(Tolerance(known=None, why="x"), dino) is None
    one_run_each = Tolerance(known=0.1, spread=0.1, why="x")
    assert allowed(one_run_each, dino) == pytest.approx(0.15 + 1.959964 * math.sqrt(0.01 + 0.01))
    assert allowed(one_run_each, dino, std=0.3, seeds=4) == pytest.approx(0.15 + 1.959964 * math.sqrt(0.01 + 0.09 / 4))
    draws = Tolerance(known=0.0, spread=5.0, paper_runs=3, runs=3, why="x")
    assert allowed(draws, low_shot, std=0.6) == pytest.approx(0.05 + 1.959964 * math.sqrt(0.16 / 3 + 0.36 / 3))
    other_images = Tolerance(known=0.0, test_images=1000, why="x")
    assert allowed(other_images, dino) == pytest.approx(0.05 + 1.959964 * math.sqrt(2 * 74.5 * 25.5 / 1000))


def test_rounding_follows_what_was_printed() -> None:
    assert [rounding(value) for value in (74.5, 81, 0.25)] == pytest.approx([0.05, 0.5, 0.005])


def test_within_at_and_beyond_the_tolerance() -> None:
    limit = judged(knn(74.5)).tolerance
    assert limit is not None
    for top1, verdict in ((74.5, "reproduced"), (74.5 - limit, "reproduced"), (74.5 + limit, "reproduced")):
        assert judged(knn(top1)).verdict == verdict
    for top1 in (74.5 - limit - 0.001, 74.5 + limit + 0.001):
        found = judged(knn(top1))
        assert (found.verdict, found.tolerance) == ("deviates", limit)
        assert "deviates" in found.marks
    assert judged(knn(74.5)).reason


def test_low_shot_takes_the_deviation_over_draws_from_both_sides() -> None:
    facts = IntervalFacts(low=38.3, high=39.5, level=0.0, kind="std over 3 splits")
    record = make_record(task="low_shot_1_imagenet", top1=38.9, interval=facts)
    parts = tolerances()["low_shot"].of(record.task)
    expected = allowed(parts, printed("dino_vits16", record.task), std=0.6)
    assert judged(record).tolerance == pytest.approx(expected)


def test_seeds_narrow_the_tolerance() -> None:
    def finetuned(seed: int, top1: float) -> Record:
        return make_record("mae_vitb16", "finetune_imagenet", top1, seed=seed)

    one = judged(finetuned(0, 83.6), paper="sdae")
    several = judged(*(finetuned(seed, 83.6 + 0.01 * (seed - 1)) for seed in range(3)), paper="sdae")
    assert one.verdict == several.verdict == "reproduced"
    assert one.tolerance is not None
    assert several.tolerance is not None
    assert several.tolerance < one.tolerance


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"partial": True}, "some of the images"),
        ({"overrides": {"k": [5]}}, "other than the task's"),
        ({"primary": "mean_per_class"}, "the record's number is mean_per_class, the paper's top1"),
    ],
)
def test_numbers_that_do_not_compare_have_no_verdict(changes: dict[str, Any], reason: str) -> None:
    record = knn(74.5, **changes)
    number = printed("dino_vits16", "knn_imagenet")
    found = module.with_published(module.measured([record]), number)
    assert (found.verdict, found.tolerance) == ("not measured", None)
    assert reason in found.reason
    assert not {"reproduced", "deviates"} & set(found.marks)


def test_another_version_of_the_task_has_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    card = registry().task("knn_imagenet")
    monkeypatch.setattr(module, "_card", lambda task: card.model_copy(update={"version": 2}))
    assert "earlier version" in judged(knn(74.5)).reason


def test_speed_has_no_verdict() -> None:
    record = make_record(task="throughput_imagenet", primary="images_per_second", top1=1007.0)
    assert (judged(record).verdict, judged(record).reason) == ("not measured", "speed is the machine's")


def test_other_weights_or_recipes_have_no_verdict() -> None:
    large = make_record("mae_vitl16", "finetune_imagenet", 84.9)
    found = judged(large, paper="mae")
    assert (found.verdict, found.difference) == ("not measured", pytest.approx(0.0))
    assert "800 epochs" in found.reason


def test_why_nobody_can_measure_a_number() -> None:
    said = {
        ("dino", "Table 7", "BYOL"): "no model here is this one",
        ("multimae", "Table 2", "MultiMAE"): "no task here measures this",
        ("volta", "Table 1 (left)", "ICMLM"): "its weights were never released",
    }
    for (paper, table, method), reason in said.items():
        found = [obstacle(n) for n in numbers(paper) if (n.table, n.row.method) == (table, method)]
        assert reason in found
    assert obstacle(printed("dino_vits16", "knn_imagenet")) == ""
    (swav,) = lookup("swav_resnet50", "linear_swav_imagenet")
    assert beside(None, [swav], "swav_resnet50", "linear_swav_imagenet").reason == "no record yet"  # type: ignore[union-attr]


def test_every_protocol_states_its_tolerance_and_why() -> None:
    stated = tolerances()
    assert set(PROTOCOLS) <= set(stated)
    tasks = {task for protocol in stated.values() for task in protocol.tasks}
    assert {registry().task(task).name for task in tasks} == tasks
    for name, protocol in stated.items():
        assert protocol.why.strip()
        assert all(registry().task(task).protocol == name for task in protocol.tasks)


def test_the_tolerance_of_knn_is_what_the_field_accepts() -> None:
    """0.1 to 0.3 points on ImageNet, below the difference of neighbouring rows of DINO's table 2."""
    found = judged(knn(74.5)).tolerance
    assert found is not None
    assert 0.1 <= found <= 0.3 + 1e-9


def test_the_summary_counts_every_printed_number_once() -> None:
    record = knn(74.4)
    far = make_record("dino_vits8", "knn_imagenet", 70.0)
    found = [judged(record), judged(far)]
    found += [c for n in numbers("dino") if n.model is None and (c := beside(None, [n], "", "")) is not None]
    text = summary(found)
    untied = sum(n.model is None for n in numbers("dino"))
    assert text.startswith(f"Of {2 + untied} printed numbers 1 reproduced, 1 deviating, {untied} not measured: ")
    assert f"{untied} no model here is this one" in text
    assert summary([]) == ""
