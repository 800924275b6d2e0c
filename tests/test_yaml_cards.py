"""An invalid card names the file, the line, the field and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssl_bench.cards import ModelFile
from ssl_bench.errors import CardError
from ssl_bench.model_files import read_models, read_recipes
from ssl_bench.yaml_cards import read_card


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "card.yaml"
    path.write_text(text)
    return path


def test_an_unknown_field_is_named_with_its_line_and_what_is_allowed(tmp_path: Path) -> None:
    path = write(tmp_path, "method: x\nmodels:\n  a:\n    arch: resnet18\n    licnce: MIT\n")
    with pytest.raises(
        CardError, match=r"card\.yaml:5: models\.a\.licnce: there is no such field\. Allowed: .*licence"
    ):
        read_models(path)


def test_a_nested_unknown_field_lists_the_fields_of_its_own_card(tmp_path: Path) -> None:
    path = write(tmp_path, "method: x\nmodels:\n  a:\n    arch: resnet18\n    weights:\n      link: http://x\n")
    with pytest.raises(
        CardError, match=r"card\.yaml:6: .*link: there is no such field\. Allowed: url, path, layout, sha256"
    ):
        read_models(path)


def test_a_wrong_type_shows_what_was_given(tmp_path: Path) -> None:
    path = write(tmp_path, "method: x\nmodels:\n  a: {arch: resnet18, epochs: many}\n")
    with pytest.raises(CardError, match=r"card\.yaml:3: models\.a\.epochs: .*number.*'many'"):
        read_models(path)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "method: x\nmodels:\n  a: {epochs: 3}\n")
    with pytest.raises(CardError, match=r"card\.yaml:3: models\.a\.arch: Field required"):
        read_models(path)


def test_equal_keys_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "method: x\nmodels:\n  a: {arch: resnet18}\n  a: {arch: resnet50}\n")
    with pytest.raises(CardError, match=r"card\.yaml:4: .*'a' stands twice"):
        read_models(path)


@pytest.mark.parametrize(("text", "says"), [("a: [1", "not valid YAML"), ("- 1\n", "mapping"), ("", "mapping")])
def test_what_is_no_card_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(CardError, match=says):
        read_card(ModelFile, write(tmp_path, text))


def test_a_missing_file_and_a_binary_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CardError, match="cannot be read"):
        read_card(ModelFile, tmp_path / "none.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(CardError, match="not UTF-8"):
        read_card(ModelFile, tmp_path / "b.yaml")


def test_defaults_fill_what_a_model_leaves_out_and_presets_are_resolved(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "method: m\nlicence: MIT\ndefaults: {preprocess: imagenet_bilinear, epochs: 100}\n"
        "models:\n  a: {arch: resnet18}\n  b: {arch: resnet18, epochs: 5, preprocess: {preset: small32, crop: 28}}\n",
    )
    a, b = read_models(path)
    assert (a.licence, a.epochs, a.preprocess.interpolation, a.preprocess.crop) == ("MIT", 100, "bilinear", 224)
    assert (b.epochs, b.preprocess.resize, b.preprocess.crop, b.preprocess.mean) == (5, None, 28, (0.5, 0.5, 0.5))


def test_an_unknown_preset_says_which_there_are(tmp_path: Path) -> None:
    path = write(tmp_path, "method: m\nmodels:\n  a: {arch: resnet18, preprocess: imagenet_bicubc}\n")
    with pytest.raises(CardError, match="Did you mean: imagenet_bicubic"):
        read_models(path)


def test_a_recipe_with_a_bad_optimiser_is_refused(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "method: m\nrecipes:\n  r:\n    arch: resnet18\n    dataset: cifar10\n    epochs: 1\n    batch_size: 4\n"
        "    optimizer: {name: adam, lr: 0.1}\n",
    )
    with pytest.raises(CardError, match=r"card\.yaml:8: recipes\.r\.optimizer\.name: .*'sgd'.*'adam'"):
        read_recipes(path)
