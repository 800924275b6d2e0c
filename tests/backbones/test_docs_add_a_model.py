"""The examples of docs/add-a-model.md work, and its table has every layout."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from ssl_bench.backbones.layouts import LAYOUTS
from ssl_bench.backbones.load import load_model
from ssl_bench.errors import CheckpointError
from ssl_bench.model_files import model_of_file, read_models
from ssl_bench.registry import registry

PAGE = Path(__file__).parents[2] / "docs" / "add-a-model.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def test_cards(vit_tensors: Any, tmp_path: Path) -> None:
    first, second = blocks("yaml")
    for name, text in (("my_models.yaml", first), ("second.yaml", second)):
        (tmp_path / name).write_text(text)
    torch.save(vit_tensors(384, 12, 16, 197), tmp_path / "my_dino.pth")
    assert load_model(str(tmp_path / "my_models.yaml")).embed_dim == 384
    (card,) = read_models(tmp_path / "second.yaml")
    assert (card.preprocess.resize, card.preprocess.std) == (512, (0.5, 0.5, 0.5))


def test_message(vit_tensors: Any, tmp_path: Path) -> None:
    (tmp_path / "my_models.yaml").write_text(blocks("yaml")[0])
    tensors = vit_tensors(384, 12, 16, 197)
    del tensors["norm.bias"]
    torch.save(tensors, tmp_path / "my_dino.pth")
    with pytest.raises(CheckpointError) as caught:
        load_model(model_of_file(str(tmp_path / "my_models.yaml")))
    assert blocks("text")[0].strip() in str(caught.value)


def test_plugin(fresh_registry: None, tmp_path: Path) -> None:
    (tmp_path / "my_plugin.py").write_text(blocks("python")[0])
    registry().include(tmp_path / "my_plugin.py")
    backbone = load_model("tiny_mean")
    assert backbone.embed_dim == 48
    assert backbone.preprocess.card.crop == 32


def test_every_layout_is_explained() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in LAYOUTS if f"`{name}`" not in page] == []
