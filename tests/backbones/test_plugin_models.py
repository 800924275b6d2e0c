"""Models given by a function."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ssl_bench.backbones.archs import build
from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.load import load_model
from ssl_bench.backbones.plain import PlainBackbone
from ssl_bench.backbones.vit import ViTBackbone
from ssl_bench.cards import ModelCard, PreprocessCard
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import PluginError, SettingsError
from ssl_bench.registry import CodeModel

IMAGES = torch.randn(2, 3, 32, 32)


class Mine(Backbone):
    embed_dim = 3

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))


def model(build_it: Any, **fields: Any) -> CodeModel:
    card = ModelCard(
        name="mine", method="plugin", arch="f", preprocess=PreprocessCard(resize=None, crop=None), **fields
    )
    return CodeModel(card, build_it)


@torch.no_grad()
def test_any_module_is_measured_and_wrapped() -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    backbone, again = load_model(model(make)), load_model(model(make))
    assert isinstance(backbone, PlainBackbone)
    assert (backbone.embed_dim, backbone.name, backbone.training) == (5, "mine", False)
    assert backbone(IMAGES).shape == (2, 5)
    assert torch.equal(backbone(IMAGES), again(IMAGES))
    assert backbone.weights is not None
    assert again.weights == backbone.weights != load_model(model(make), seed=1).weights


def test_a_timm_network_keeps_its_layers_and_a_backbone_is_used_as_it_is() -> None:
    assert isinstance(load_model(model(lambda: build("vit_small32", {"dim": 16, "depth": 1, "heads": 1}))), ViTBackbone)
    backbone = load_model(model(Mine))
    assert isinstance(backbone, Mine)
    assert backbone.preprocess.card.resize is None
    own = Preprocess(PreprocessCard(resize=40, crop=32))

    def make() -> Backbone:
        made = Mine()
        made.preprocess = own
        return made

    assert load_model(model(make)).preprocess is own


def broken() -> nn.Module:
    raise RuntimeError("no such checkpoint")


class Wrong(Mine):
    embed_dim = 4


@pytest.mark.parametrize(
    ("build_it", "said"),
    [
        (broken, "failed: RuntimeError: no such checkpoint"),
        (lambda: None, "returned a NoneType"),
        (lambda: nn.Flatten(0), r"maps one image to shape \(3072,\)"),
        (lambda: nn.Conv2d(3, 4, 1), r"maps one image to shape \(1, 4, 32, 32\)"),
        (lambda: nn.Linear(7, 2), "fails on a blank input .*RuntimeError"),
        (Wrong, "embed_dim says 4, but its vectors have 3"),
    ],
)
def test_functions_that_break_their_promise(build_it: Any, said: str) -> None:
    with pytest.raises(PluginError, match=said) as caught:
        load_model(model(build_it))
    assert "A model function returns" in str(caught.value)
    assert "plugin function" in str(caught.value)


def test_settings_that_do_not_apply() -> None:
    with pytest.raises(SettingsError, match="no embedding 'cls'"):
        load_model(model(nn.Flatten, embedding="cls"))
    with pytest.raises(SettingsError, match="takes no checkpoint"):
        load_model(model(nn.Flatten), weights="x.pth")


def test_another_version_of_the_code_is_another_model(tmp_path: Path) -> None:
    """The same tensors in another formula must not share cached features or records."""
    source = "from torch import nn\nclass Net(nn.Module):\n    def forward(self, x):\n        return x.{pool}((2, 3))\n"
    found = []
    for pool in ("mean", "amax", "mean"):
        (tmp_path / pool).mkdir(exist_ok=True)
        path = tmp_path / pool / "net.py"
        path.write_text(source.format(pool=pool))
        spec = importlib.util.spec_from_file_location("net", path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules["net"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["net"])
        found.append(load_model(model(sys.modules["net"].Net)))
    sys.modules.pop("net")
    assert found[0].definition == found[2].definition != found[1].definition
    assert found[0].weights == found[2].weights != found[1].weights


class Clips(nn.Module):
    """(B, 3, T, H, W) -> (B, 3)."""

    clip_size = (3, 4, 16, 16)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        if clips.shape[1:] != self.clip_size:
            raise ValueError(f"clips of {tuple(clips.shape[1:])}")
        return clips.mean((2, 3, 4))


def test_a_network_of_clips_is_asked_for_a_clip() -> None:
    backbone = load_model(model(Clips, modality="video"))
    assert (backbone.modality, backbone.embed_dim) == ("video", 3)
    with pytest.raises(PluginError, match="fails on a blank input"):
        load_model(model(Clips))


def test_the_card_names_vectors_of_code_too() -> None:
    assert load_model(model(Mine, embeddings={"linear": "mean_patch"})).embeddings == {"linear": "mean_patch"}
    assert load_model(model(Mine)).embeddings == {}
