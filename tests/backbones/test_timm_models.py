"""``timm:<name>`` and ``hf:<repo>``: timm's own preprocessing, embedding and weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save_file

from ssl_bench.backbones import timm_models
from ssl_bench.backbones.load import load_model
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import CheckpointError, SettingsError, UnknownNameError


def saved(arch: str, path: Path) -> torch.nn.Module:
    torch.manual_seed(0)
    module = timm.create_model(arch).eval()
    torch.save(module.state_dict(), path)
    return module


@pytest.mark.parametrize("arch", ["test_vit", "test_resnet", "test_convnext", "test_efficientnet", "resnet10t"])
@torch.no_grad()
def test_own_copy_with_its_classifier_dropped(arch: str, tmp_path: Path) -> None:
    module = saved(arch, tmp_path / "w.pth")
    backbone = load_model(f"timm:{arch}", weights=tmp_path / "w.pth")
    size = timm.data.resolve_model_data_config(module)["input_size"]
    images = torch.randn(2, *size)
    torch.testing.assert_close(backbone(images), module.forward_head(module.forward_features(images), pre_logits=True))
    assert backbone.weights is not None
    assert backbone.weights.matched == backbone.weights.total
    assert backbone.name == f"timm:{arch}"


@pytest.mark.parametrize(
    ("arch", "squash"),
    [
        ("resnet50.tv_in1k", False),
        ("vit_small_patch16_224.dino", False),
        ("convnext_tiny.fb_in1k", False),
        ("vit_base_patch16_clip_384.openai_ft_in12k_in1k", True),
    ],
)
def test_preprocessing_is_timms(arch: str, squash: bool) -> None:
    """Crop ratio, interpolation, mean and std, and squashed images, against timm's own transform."""
    module = timm.create_model("test_vit", num_classes=0)
    module.pretrained_cfg = timm.get_pretrained_cfg(arch).to_dict()
    theirs = timm.data.create_transform(**timm.data.resolve_model_data_config(module), is_training=False)
    card = timm_models.data_card(module, arch)
    pixels = np.random.default_rng(0).integers(0, 256, (301, 407, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((500, 333), Image.Resampling.BICUBIC)
    torch.testing.assert_close(Preprocess(card)(image), theirs(image))
    assert card.squash is squash


def test_images_that_are_not_square_are_refused_by_name() -> None:
    module = timm.create_model("test_vit", num_classes=0)
    module.pretrained_cfg = {**module.pretrained_cfg, "crop_mode": "border"}
    with pytest.raises(SettingsError, match="crop mode border"):
        timm_models.data_card(module, "x")


def test_without_network_the_message_says_what_to_do() -> None:
    for name in ("timm:resnet18", "hf:someone/something"):
        with pytest.raises(CheckpointError, match=f"timm has no weights for {name}.*no network") as caught:
            load_model(name)
        assert "--weights PATH" in str(caught.value)
        assert "hf:FOLDER" in str(caught.value) or name.startswith("timm")
    with pytest.raises(UnknownNameError, match="resnet18"):
        load_model("timm:resnet81")
    with pytest.raises(UnknownNameError, match="vit_small_patch16_224.dino"):
        load_model("timm:vit_small_patch16_224.dion")


def test_cached_only_leaves_the_hubs_setting_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(CheckpointError, match="no network is used"):
        load_model("timm:resnet18", download=False)
    assert constants.HF_HUB_OFFLINE is False


@pytest.mark.parametrize("damage", [None, "missing", "left over"])
@torch.no_grad()
def test_downloaded_repository_as_a_folder(damage: str | None, tmp_path: Path) -> None:
    """The hub's layout: config.json and model.safetensors; timm loads it, we prove that every tensor came from it."""
    torch.manual_seed(0)
    module = timm.create_model("test_vit", num_classes=7).eval()
    tensors = dict(module.state_dict())
    if damage == "missing":
        del tensors["norm.bias"]
    elif damage:
        tensors["norm.extra"] = torch.zeros(1)
    save_file(tensors, tmp_path / "model.safetensors")
    config = {"mean": [0.1, 0.2, 0.3], "crop_pct": 0.8, "input_size": [3, 160, 160], "interpolation": "bilinear"}
    config |= {"fixed_input_size": True, "classifier": "head"}
    whole = {"architecture": "test_vit", "num_classes": 7, "pretrained_cfg": config}
    (tmp_path / "config.json").write_text(json.dumps(whole))
    if damage:
        with pytest.raises(CheckpointError, match=r"norm\.(bias|extra)"):
            load_model(f"hf:{tmp_path}")
        return
    backbone = load_model(f"hf:{tmp_path}")
    images = torch.randn(1, 3, 160, 160)
    torch.testing.assert_close(backbone(images), module.forward_head(module.forward_features(images), pre_logits=True))
    assert (backbone.preprocess.card.resize, backbone.preprocess.card.mean) == (200, (0.1, 0.2, 0.3))
    assert backbone.preprocess.card.interpolation == "bilinear"


def test_other_tensors_are_left_over_even_with_a_classifier(tmp_path: Path) -> None:
    module = saved("test_vit", tmp_path / "w.pth")
    torch.save({**module.state_dict(), "header.weight": torch.zeros(3)}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"1 left over: header\.weight"):
        load_model("timm:test_vit", weights=tmp_path / "w.pth")
