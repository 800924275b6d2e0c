from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_bench.data import subsets
from ssl_bench.data.splits import FileSplit
from ssl_bench.data.subsets import fraction, holdout, low_shot, per_class, semi
from ssl_bench.errors import DataError, SettingsError

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=80).map(lambda labels: np.array(labels))


@settings(deadline=None)
@given(LABELS, st.integers(0, 9))
def test_draws_are_stratified_nested_and_repeatable(labels: np.ndarray, seed: int) -> None:
    counts = np.bincount(labels, minlength=5)
    most = counts[counts > 0].min()
    chosen = [set(per_class(labels, n, seed).tolist()) for n in range(1, most + 1)]
    for n, some in enumerate(chosen, 1):
        assert np.bincount(labels[sorted(some)], minlength=5).tolist() == [n * (count > 0) for count in counts]
    assert all(small < large for small, large in pairwise(chosen))
    assert set(per_class(labels, 1, seed).tolist()) == chosen[0]
    parts = [set(fraction(labels, percent, seed).tolist()) for percent in (1, 10, 50, 100)]
    assert parts[0] <= parts[1] <= parts[2] <= parts[3] == set(range(len(labels)))
    assert np.bincount(labels[sorted(parts[2])], minlength=5).tolist() == [
        max(1, round(count / 2)) if count else 0 for count in counts.tolist()
    ]


@settings(deadline=None)
@given(LABELS, st.floats(0.01, 0.99), st.integers(0, 9))
def test_holdout_is_a_stratified_partition(labels: np.ndarray, part: float, seed: int) -> None:
    kept, held = holdout(labels, part, seed)
    assert sorted([*kept, *held]) == list(range(len(labels)))
    for label, count in enumerate(np.bincount(labels).tolist()):
        out = int((labels[held] == label).sum())
        assert out == min(count - 1, max(1, round(count * part))) if count > 1 else out == 0


def test_seeds_differ_and_too_few_images_are_an_error() -> None:
    labels = np.repeat(np.arange(10), 50)
    assert per_class(labels, 5, 0).tolist() != per_class(labels, 5, 1).tolist()
    with pytest.raises(SettingsError, match="51 images a class are wanted, and class 0 has 50"):
        per_class(labels, 51, 0)
    for percent in (0, 101):
        with pytest.raises(SettingsError):
            fraction(labels, percent, 0)


def train_split(root: Path) -> FileSplit:
    names = [f"train/n{c:02d}/n{c:02d}_{i}.JPEG" for c in range(3) for i in range(20)]
    return FileSplit(root, names, np.repeat(np.arange(3), 20), ["n00", "n01", "n02"])


def test_the_official_lists_are_used_when_they_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = train_split(tmp_path)
    text = "n02_7.JPEG\nn00_3.JPEG\nn01_0.JPEG\n"
    sha256 = hashlib.sha256(text.encode()).hexdigest()[:16]
    monkeypatch.setitem(subsets.PERCENT_LISTS, 1, ("1percent.txt", sha256))
    for key in ((2, 1), (3, 5)):
        monkeypatch.setitem(subsets.SHOT_LISTS, key, sha256)
    places = [
        "imagenet_subsets/1percent.txt",
        "imagenet_subsets/2/1imgs_class.txt",
        "imagenet_subsets3/3imgs_class.txt",
    ]
    for place in places:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text)
    for found in (semi(split, 1, tmp_path), low_shot(split, 1, 2, tmp_path), low_shot(split, 5, 3, tmp_path)):
        assert found.source == "official"
        assert found.indices.tolist() == [3, 20, 47]
    part = semi(split.subset(np.arange(40)), 1, tmp_path)  # type: ignore[arg-type]
    assert part.source == "drawn"
    assert "1 of 3 images of the official list are not in this training split" in part.note


def test_without_a_list_the_images_are_drawn_and_it_is_said(tmp_path: Path) -> None:
    split = train_split(tmp_path)
    found = low_shot(split, 2, 1, tmp_path)
    assert found.source == "drawn"
    assert "2imgs_class.txt is not there" in found.note
    assert found.indices.tolist() == per_class(split.labels, 2, 1).tolist()
    assert semi(split, 10, tmp_path).indices.tolist() == fraction(split.labels, 10, 0).tolist()
    assert "no official list" in semi(split, 20, tmp_path).note


def test_a_list_with_another_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "imagenet_subsets").mkdir()
    (tmp_path / "imagenet_subsets" / "10percent.txt").write_text("n00_0.JPEG\n")
    with pytest.raises(DataError, match="not the official list"):
        semi(train_split(tmp_path), 10, tmp_path)
