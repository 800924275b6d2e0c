"""Names: built-in, included, composed; unknown ones answer with the closest."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssl_bench.cards import ModelCard
from ssl_bench.errors import CardError, PluginError, UnknownNameError
from ssl_bench.registry import Registry, registry
from ssl_bench.selection import parse_settings, select_models, select_tasks, settings_for


@pytest.fixture
def known() -> Registry:
    made = Registry()
    made.load_builtin()
    return made


def test_every_built_in_card_is_valid_and_every_code_entry_imports(known: Registry) -> None:
    for catalogue in (
        known.models,
        known.recipes,
        known.datasets,
        known.protocols,
        known.tasks,
        known.methods,
        known.papers,
    ):
        assert len(catalogue) > 0, catalogue.kind
        for name in catalogue:
            catalogue.get(name)


def test_every_task_names_a_protocol_and_a_data_set_that_exist(known: Registry) -> None:
    from ssl_bench.settings import resolve

    for name in known.tasks:
        card = known.tasks.get(name)
        assert f"_{name}".endswith(f"_{card.dataset}")  # a data set may have its protocol's name
        known.dataset(card.dataset)
        resolve(known.protocols.get(card.protocol).settings, card.settings, card.protocol)


def test_every_recipe_names_a_method_and_a_data_set_that_exist_and_its_settings_fit(known: Registry) -> None:
    from ssl_bench.settings import resolve

    for name in known.recipes:
        recipe = known.recipes.get(name)
        known.dataset(recipe.dataset)
        resolve(known.methods.get(recipe.method).settings, recipe.settings, recipe.method)


@pytest.mark.parametrize(
    ("wrong", "close"), [("dino_vits61", "dino_vits16"), ("mae_vitb", "mae_vitb16"), ("vits16", "dino_vits16")]
)
def test_an_unknown_model_answers_with_close_ones(known: Registry, wrong: str, close: str) -> None:
    with pytest.raises(UnknownNameError, match=close):
        known.model(wrong)


def test_a_name_like_no_other_points_to_the_list(known: Registry) -> None:
    with pytest.raises(UnknownNameError, match="ssl-bench list models"):
        known.model("qqqqqqqq")


def test_names_of_the_interface_are_there(known: Registry) -> None:
    models = "dino_vits16 dino_vits8 dino_vitb16 dino_vitb8 dino_resnet50 mae_vitb16 mae_vitl16 mae_vith14 supervised_resnet50 supervised_vits16"
    for name in models.split():
        assert isinstance(known.model(name), ModelCard)
    for name in [
        "knn_imagenet",
        "linear_imagenet",
        "low_shot_1_imagenet",
        "semi_1pct_imagenet",
        "linear_cifar10",
        "knn_digits",
    ]:
        assert known.task(name).name == name
    for name in [
        "digits",
        "placed_digits",
        "imagenet",
        "cifar10",
        "cifar100",
        "fashion_mnist",
        "stl10",
        "flowers",
        "pets",
        "food101",
        "dtd",
        "aircraft",
        "cars",
    ]:
        known.dataset(name)


def test_a_task_is_composed_for_any_folder_of_the_user(known: Registry) -> None:
    card = known.task("low_shot_2_imagefolder:birds")
    assert (card.protocol, card.dataset, card.settings["shots"]) == ("low_shot", "imagefolder:birds", 2)
    with pytest.raises(UnknownNameError):
        known.task("knn_nowhere")


def test_random_timm_and_hub_names_need_no_card(known: Registry) -> None:
    for name in ("timm:resnet18", "hf:owner/repo", "random_vit_tiny_patch16_224"):
        assert known.model(name).name == name  # type: ignore[union-attr]


def test_a_card_is_found_by_its_path(known: Registry, tmp_path: Path) -> None:
    card = tmp_path / "mine.yaml"
    card.write_text("method: m\nmodels:\n  a: {arch: resnet18}\n")
    assert known.model(str(card)).name == "a"  # type: ignore[union-attr]
    card.write_text("method: m\nmodels:\n  a: {arch: resnet18}\n  b: {arch: resnet34}\n")
    with pytest.raises(CardError, match="has 2 models: a, b"):
        known.model(str(card))
    assert known.model(f"{card}:b").arch == "resnet34"  # type: ignore[union-attr]
    with pytest.raises(UnknownNameError):
        known.model(f"{card}:c")
    with pytest.raises(CardError, match="no such card"):
        known.model(str(tmp_path / "none.yaml"))


def test_included_cards_of_every_kind_are_known(known: Registry, tmp_path: Path) -> None:
    (tmp_path / "a_model.yaml").write_text("method: m\nmodels:\n  mine: {arch: resnet18}\n")
    (tmp_path / "b_data.yaml").write_text(
        "datasets:\n  my_birds: {builder: imagefolder, title: Birds, options: {folder: birds}}\n"
    )
    (tmp_path / "c_task.yaml").write_text(
        "protocol: knn\nsettings: {k: [1]}\ntasks:\n  knn1_my_birds: {dataset: my_birds}\n"
    )
    known.include(tmp_path)
    assert "mine" in known.models
    assert known.task("knn1_my_birds").settings["k"] == [1]
    assert known.task("knn_my_birds").dataset == "my_birds"
    assert str(tmp_path / "a_model.yaml") in known.plugins


def test_built_in_names_win(known: Registry, tmp_path: Path) -> None:
    card = tmp_path / "thief.yaml"
    card.write_text("method: m\nmodels:\n  dino_vits16: {arch: resnet18}\n")
    with pytest.raises(PluginError, match=r"'dino_vits16' is there already, from .*dino\.yaml"):
        known.include(card)
    assert known.model("dino_vits16").arch != "resnet18"  # type: ignore[union-attr]


def test_a_file_of_no_known_kind_an_empty_folder_and_no_file_are_refused(known: Registry, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("colour: red\n")
    with pytest.raises(CardError, match="no card of a kind that we know"):
        known.include(tmp_path / "x.yaml")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CardError, match=r"no \.yaml card"):
        known.include(tmp_path / "empty")
    with pytest.raises(CardError, match="no such file"):
        known.include(tmp_path / "none")


PLUGIN = """
import torch
import ssl_bench

@ssl_bench.model("mean_colour", preprocess={"resize": None, "crop": None})
def mean_colour():
    class Mean(torch.nn.Module):
        def forward(self, images):
            return images.mean((2, 3))
    return Mean()
"""


@pytest.mark.usefixtures("fresh_registry")
def test_decorators_in_an_included_file_register(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(PLUGIN)
    registry().include(plugin)
    assert "mean_colour" in registry().models


@pytest.mark.usefixtures("fresh_registry")
def test_a_plugin_that_fails_is_named(tmp_path: Path) -> None:
    plugin = tmp_path / "broken.py"
    plugin.write_text("1 / 0\n")
    with pytest.raises(PluginError, match=r"broken\.py: ZeroDivisionError"):
        registry().include(plugin)


def test_selection_understands_lists_globs_and_groups(known: Registry) -> None:
    names = select_models(["dino_vits16,mae_vitb16", "dino_vits*"], known)
    assert names[:2] == ["dino_vits16", "mae_vitb16"]
    assert "dino_vits8" in names
    assert len(names) == len(set(names))
    assert {task.name for task in select_tasks(["core"], known)} >= {"knn_imagenet", "linear_imagenet"}
    assert len(select_tasks(["all"], known)) == len(known.tasks)
    with pytest.raises(UnknownNameError):
        select_models(["zzz*"], known)
    with pytest.raises(UnknownNameError):
        select_tasks(["zzz*"], known)


def test_settings_are_typed_and_can_be_meant_for_one_protocol(known: Registry) -> None:
    from ssl_bench.errors import SettingsError

    assert parse_settings(["k=[1, 2]", "temperature=0.1", "name=x"]) == {"k": [1, 2], "temperature": 0.1, "name": "x"}
    card = known.task("knn_digits")
    assert settings_for(card, {"knn.k": [3], "linear.epochs": 2}, {"knn", "linear"})["k"] == [3]
    assert "epochs" not in settings_for(card, {"linear.epochs": 2}, {"knn", "linear"})
    with pytest.raises(SettingsError, match="no chosen task has the protocol 'linaer'"):
        settings_for(card, {"linaer.epochs": 2}, {"knn"})
    for wrong in ("k", "=3", "k=[1"):
        with pytest.raises(SettingsError):
            parse_settings([wrong])
