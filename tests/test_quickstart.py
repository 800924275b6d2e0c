"""The quickstart's story, with one short training and few images; its real recipes are too long for a test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ssl_bench import quickstart
from ssl_bench.compute import Compute
from ssl_bench.registry import registry
from ssl_bench.training.plan import Plan

pytestmark = pytest.mark.usefixtures("fresh_registry")


def test_it_trains_evaluates_draws_and_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = (
        registry()
        .recipes.get("simclr_small_placed_digits")
        .model_copy(
            update={"name": "tiny", "epochs": 1, "warmup_epochs": 0, "batch_size": 1300, "arch_args": {"width": 4}}
        )
    )
    registry().recipes.add("tiny", lambda: recipe, "tests")
    monkeypatch.setattr(quickstart, "RECIPES", ("tiny",))
    compute = Compute(cache=tmp_path / "cache", limit=12)
    story = quickstart.quickstart(tmp_path / "out", compute)
    assert story.report.exit_code == 0
    assert len(story.report.new) == 3 * (1 + len(quickstart.BASELINES))
    assert "tiny" in story.page.read_text()
    assert [path.read_bytes()[:4] for path in story.pictures] == [b"\x89PNG"] * 3
    assert len(story.verdicts) == 3

    again = quickstart.quickstart(tmp_path / "out", compute)
    assert (len(again.report.new), len(again.report.found)) == (0, 12)
    assert again.verdicts == story.verdicts


@pytest.mark.parametrize("name", quickstart.RECIPES)
def test_every_recipe_is_complete_and_its_baseline_is_the_same_network(name: str) -> None:
    known = registry()
    recipe = known.recipes.get(name)
    assert recipe.dataset == "placed_digits"
    assert Plan(recipe, 5200).total_steps > 500
    baseline = known.models.get(f"random_{recipe.arch}")
    assert baseline.arch_args == recipe.arch_args
    assert baseline.embedding == recipe.embedding
    assert baseline.preprocess == recipe.preprocess


def test_verdicts_say_when_a_baseline_is_not_beaten() -> None:
    from results_factory import make_record

    task = quickstart.TASKS[0]
    values = {"raw_pixels": 76.0, "random_resnet_small32": 40.0, "good": 93.0, "level": 76.5, "bad": 50.0}
    lines = quickstart.verdicts([make_record(name, task, value, n_test=500) for name, value in values.items()])
    words = [("good", " beats "), ("level", "about level"), ("bad", "DOES NOT BEAT")]
    assert len(lines) == 3
    for line, (name, word) in zip(lines, words, strict=True):
        assert name in line
        assert word in line
        assert "raw_pixels 76.0" in line


def test_the_make_targets_call_it() -> None:
    makefile = (Path(__file__).parent.parent / "Makefile").read_text()
    assert "bin/ssl-bench quickstart" in makefile.replace("$(BIN)", "bin")
    assert os.access(Path(__file__).parent.parent / ".ci" / "run", os.X_OK)
