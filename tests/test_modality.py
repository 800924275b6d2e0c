"""Networks of video clips and spectrograms are kept from tasks on images, before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import ssl_bench
from folders import image_folder

from ssl_bench.compute import Compute
from ssl_bench.errors import SettingsError
from ssl_bench.launcher import job_commands
from ssl_bench.modality import choose
from ssl_bench.progress import Silent
from ssl_bench.registry import Registry
from ssl_bench.runner import make_plan

SOUNDS = """
datasets:
  sounds: {builder: imagefolder, title: Sounds, modality: audio, options: {folder: sounds}}
"""
TASKS = """
protocol: knn
version: 1
tasks: {knn_sounds: {dataset: sounds, groups: [core]}}
"""


@pytest.fixture
def known(tmp_path: Path) -> Registry:
    """The built-in cards, and one task on sounds."""
    made = Registry()
    made.load_builtin()
    for name, text in (("sounds", SOUNDS), ("tasks", TASKS)):
        (tmp_path / f"{name}.yaml").write_text(text)
        made.add_card_file(tmp_path / f"{name}.yaml")
    return made


def test_a_named_model_and_a_named_task_must_suit(known: Registry) -> None:
    with pytest.raises(SettingsError, match="maest_vitl16 takes video clips, but the data of knn_imagenet are images"):
        choose(["dino_vits16,maest_vitl16"], ["knn_imagenet"], known)
    with pytest.raises(SettingsError, match="dino_vits16 takes images, but the data of knn_sounds are spectrograms"):
        choose(["dino_vits16"], ["knn_imagenet", "knn_sounds"], known)


def test_a_named_model_needs_a_task_of_the_group(known: Registry) -> None:
    with pytest.raises(SettingsError, match="maest_vitl16 takes video clips"):
        choose(["dino_vits16", "maest_vitl16"], ["core"], known)
    chosen = choose(["dino_vits16", "audiomae_vitb16"], ["core"], known)
    assert chosen.cells["audiomae_vitb16"] == {"knn_sounds"}
    assert "knn_sounds" not in chosen.cells["dino_vits16"]
    assert "knn_imagenet" in chosen.cells["dino_vits16"]
    assert any("dino_vits16, which take images" in note for note in chosen.notes)


def test_a_glob_leaves_out_what_does_not_suit(known: Registry) -> None:
    chosen = choose(["mae*_vitb16"], ["knn_imagenet"], known)
    assert set(chosen.cells) == {"mae_vitb16"}
    assert chosen.notes == ("Left out on data of another kind: maest_vitb16, which take video clips.",)
    assert choose(["mae_vitb16"], ["knn_imagenet"], known).notes == ()


def test_a_glob_of_which_nothing_remains_is_an_error(known: Registry) -> None:
    with pytest.raises(SettingsError, match=r"Models maest_vitb16, .* take video clips"):
        choose(["maest_*"], ["core"], known)


def test_the_plan_has_the_cells_that_remain_and_says_what_does_not(tmp_path: Path) -> None:
    image_folder(tmp_path)
    progress = Silent()
    compute = Compute(data_root=tmp_path, progress=progress)
    plan = make_plan(["mae*_vitb16"], ["knn_imagefolder:colours"], compute, seeds=[0, 1])
    assert len(plan) == 2
    assert [job.task.name for job in plan.jobs_of("mae_vitb16")] == ["knn_imagefolder:colours"]
    assert len(progress.notes) == 1
    assert list(job_commands(["mae*_vitb16"], ["knn_imagenet"], ["ssl-bench", "run"])) == ["mae_vitb16"]


@pytest.mark.usefixtures("fresh_registry")
@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_the_shell_says_so_once_and_ends_with_two(more: list[str], tmp_path: Path) -> None:
    image_folder(tmp_path / "data")
    done = ssl_bench(
        *("run", "--model", "audiomae_vitb16", "--task", "knn_imagefolder:colours", "--data-root", tmp_path / "data"),
        *("--results", tmp_path / "results", *more),
    )
    assert done.code == 2
    assert done.err.count("takes spectrograms, but the data of knn_imagefolder:colours are images") == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.usefixtures("fresh_registry")
def test_a_dry_run_leaves_them_out_too(tmp_path: Path) -> None:
    image_folder(tmp_path / "data")
    done = ssl_bench(
        *("run", "--model", "mae*_vitb16", "--task", "knn_imagefolder:colours", "--dry-run"),
        *("--data-root", tmp_path / "data", "--results", tmp_path / "results", "--json"),
    )
    assert done.code == 0, done.err
    assert [row["model"] for row in json.loads(done.out)] == ["mae_vitb16"]
    assert "Left out" in done.err


def test_show_says_what_such_a_model_takes_and_proposes_no_task_on_images() -> None:
    clips = ssl_bench("show", "model", "maest_vitl16")
    assert "video clips" in clips.out
    assert "then the norm" in clips.out
    assert "knn_imagenet" not in clips.out
    sounds = ssl_bench("show", "model", "audiomae_vitb16").out
    assert "spectrograms" in sounds
    assert "Licences conflict" in sounds
    assert "preprocessing" not in sounds
    assert "knn_imagenet" in ssl_bench("show", "model", "clip_vitb16").out


def test_tasks_that_read_class_names_are_for_models_with_a_text_tower(known: Registry) -> None:
    with pytest.raises(SettingsError, match="Model dino_vits16 has no text tower, which zero_shot_imagenet needs"):
        choose(["dino_vits16"], ["zero_shot_imagenet"], known)
    with pytest.raises(SettingsError, match="dino_vits16 has no text tower"):
        choose(["dino_vits16"], ["knn_imagenet", "zero_shot_imagenet"], known)
    chosen = choose(["dino_vits16", "clip_vitb16"], ["knn_imagenet", "zero_shot"], known)
    assert chosen.cells["dino_vits16"] == {"knn_imagenet"}
    assert {"knn_imagenet", "zero_shot_imagenet", "zero_shot_voc07"} <= chosen.cells["clip_vitb16"]
    assert chosen.notes == ("Left out of tasks that read class names: dino_vits16, which have no text tower.",)
    assert set(choose(["*_vitl16*"], ["zero_shot_pets"], known).cells) == {"flip_vitl16_text"}
