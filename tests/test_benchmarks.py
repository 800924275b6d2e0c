"""The benchmarks run and what they say about correctness holds; their times are no tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import extraction, linear_grid, pipeline


def test_pipelines_agree_with_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "REPEATS", 1)
    pipeline.photographs(tmp_path, count=4)
    found = pipeline.measure(tmp_path)
    assert found["exact_is_peer"] == 1
    assert found["fast_largest_difference"] <= 1
    assert found["fast_different_percent"] <= 0.1
    assert found["fast_speedup"] > 0


def test_extraction_gives_a_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "ROUNDS", 1)
    found = extraction.measure("vit_tiny_patch16_224", images=4, batch=2)
    assert found["ratio"] == found["bare_seconds"] / found["ours_seconds"]


def test_the_grids_heads_are_the_loops() -> None:
    best, difference = linear_grid.measure(linear_grid.Sizes(400, 16, 4, 32, 2), rounds=2)
    assert difference < 1e-4
    assert set(best) == {"loop", "lean", "ten lean", "grid"}
