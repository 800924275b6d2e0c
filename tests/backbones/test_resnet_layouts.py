"""Official files of contrastive, negative-free and clustering methods, with random weights under the fact sheets' names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from ssl_bench.backbones.archs import build
from ssl_bench.backbones.load import load_model
from ssl_bench.cards import ModelCard
from ssl_bench.errors import CheckpointError
from ssl_bench.registry import registry

Tensors = dict[str, torch.Tensor]
IMAGES = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
ONE = torch.ones(1)


def under(prefix: str, *names: str) -> Tensors:
    """What surrounds a backbone and must fall away; names as the sheets have them, shapes do not matter."""
    return {prefix + name: ONE for name in names}


def moco(backbone: Tensors) -> dict[str, Any]:
    query = {f"module.encoder_q.{name}": tensor for name, tensor in backbone.items()}
    key = {f"module.encoder_k.{name}": tensor + 1 for name, tensor in backbone.items()}
    rest = under("module.", "queue", "queue_ptr", "encoder_q.fc.0.weight", "encoder_q.fc.2.bias", "encoder_k.fc.0.bias")
    return {"epoch": 200, "arch": "resnet50", "state_dict": {**query, **key, **rest}, "optimizer": {"state": {}}}


def mocov3(backbone: Tensors, head: str = "fc") -> dict[str, Any]:
    base = {f"module.base_encoder.{name}": tensor for name, tensor in backbone.items()}
    momentum = {f"module.momentum_encoder.{name}": tensor + 1 for name, tensor in backbone.items()}
    rest = under("module.", f"base_encoder.{head}.0.weight", f"momentum_encoder.{head}.1.bias", "predictor.0.weight")
    return {"epoch": 300, "arch": "vit_small", "state_dict": {**base, **momentum, **rest}, "scaler": {"scale": 1.0}}


def simsiam(backbone: Tensors) -> dict[str, Any]:
    encoder = {f"module.encoder.{name}": tensor for name, tensor in backbone.items()}
    return {
        "state_dict": {**encoder, **under("module.", "encoder.fc.0.weight", "encoder.fc.6.bias", "predictor.3.bias")}
    }


def barlowtwins_full(backbone: Tensors) -> dict[str, Any]:
    inner = {f"module.backbone.{name}": tensor for name, tensor in backbone.items()}
    return {"epoch": 1000, "model": {**inner, **under("module.", "projector.0.weight", "bn.running_mean")}}


def swav(backbone: Tensors) -> dict[str, Any]:
    inner = {f"module.{name}": tensor for name, tensor in backbone.items()}
    return {**inner, **under("module.", "projection_head.0.weight", "projection_head.3.bias", "prototypes.weight")}


def deepclusterv2(backbone: Tensors) -> dict[str, Any]:
    return {**swav(backbone), **under("module.", "prototypes.prototypes0.weight", "prototypes.prototypes2.weight")}


FILES: dict[str, list[Callable[[Tensors], dict[str, Any]]]] = {
    "mocov1_resnet50": [moco],
    "mocov2_resnet50": [moco],
    "mocov3_resnet50": [mocov3],
    "simsiam_resnet50": [simsiam],
    "barlowtwins_resnet50": [dict, barlowtwins_full],
    "vicreg_resnet50": [dict, barlowtwins_full],
    "swav_resnet50": [swav, lambda backbone: {"state_dict": swav(backbone)}],
    "deepclusterv2_resnet50": [deepclusterv2],
    "selav2_resnet50": [deepclusterv2],
}


@pytest.mark.parametrize(("name", "which"), [(name, i) for name, forms in FILES.items() for i in range(len(forms))])
def test_the_file_gives_the_features_of_a_plain_network(
    name: str, which: int, resnet50_tensors: Callable[..., Tensors], tmp_path: Path
) -> None:
    tensors, path = resnet50_tensors(), tmp_path / "file.pth.tar"
    plain = timm.create_model("resnet50", num_classes=0).eval()
    counters = {n: t for n, t in plain.state_dict().items() if n.endswith("num_batches_tracked")}
    plain.load_state_dict({**counters, **tensors}, strict=True)
    torch.save(FILES[name][which](tensors), path)
    backbone = load_model(name, weights=path)
    assert backbone.weights is not None
    assert backbone.weights.matched == backbone.weights.total > 200
    with torch.no_grad():
        torch.testing.assert_close(backbone(IMAGES), plain(IMAGES))


def damaged(tensors: Tensors, how: str) -> Tensors:
    changed = dict(tensors)
    if how == "missing":
        del changed["layer1.0.bn1.weight"]
    elif how == "left over":
        changed["layer5.0.conv1.weight"] = ONE
    else:
        changed["layer1.0.conv1.weight"] = tensors["layer1.0.conv1.weight"].new_zeros(64, 65, 1, 1)
    return changed


@pytest.mark.parametrize("how", ["missing", "left over", "mis-shaped"])
@pytest.mark.parametrize("name", ["mocov2_resnet50", "simsiam_resnet50", "barlowtwins_resnet50", "swav_resnet50"])
def test_what_does_not_fit_is_refused(
    name: str, how: str, resnet50_tensors: Callable[..., Tensors], tmp_path: Path
) -> None:
    torch.save(FILES[name][-1](damaged(resnet50_tensors(), how)), tmp_path / "file.pth")
    with pytest.raises(CheckpointError, match=f"1 {how}"):
        load_model(name, weights=tmp_path / "file.pth")


def test_wide_networks_widen_every_layer(tmp_path: Path) -> None:
    """swav_resnet50w2 and vicreg_resnet50w2: the stem too, so timm's wide_resnet50_2 is another network."""
    wide = {name: t for name, t in build("resnet50w2").state_dict().items() if "num_batches" not in name}
    assert wide["conv1.weight"].shape == (128, 3, 7, 7)
    assert wide["layer4.2.conv3.weight"].shape == (4096, 1024, 1, 1)
    for name, content in (("vicreg_resnet50w2", dict(wide)), ("swav_resnet50w2", swav(wide))):
        torch.save(content, tmp_path / "wide.pth")
        assert load_model(name, weights=tmp_path / "wide.pth").embed_dim == 4096
    torch.save(timm.create_model("wide_resnet50_2", num_classes=0).state_dict(), tmp_path / "wide.pth")
    with pytest.raises(CheckpointError, match="mis-shaped"):
        load_model("vicreg_resnet50w2", weights=tmp_path / "wide.pth")


@pytest.mark.parametrize(("name", "dim"), [("mocov3_vits16", 384), ("mocov3_vitb16", 768)])
def test_mocov3_transformers_have_twelve_heads(
    name: str, dim: int, vit_tensors: Callable[..., Tensors], tmp_path: Path
) -> None:
    """ViT-S loads into a 6-head network without a word: every shape is the same, and the features are wrong."""
    tensors = vit_tensors(dim, 2, 16, 197)
    # Attention far from uniform, as a trained network's: otherwise the number of heads hardly matters.
    tensors = {name: 30 * t if name.endswith("qkv.weight") else t for name, t in tensors.items()}
    card = registry().model(name)
    assert isinstance(card, ModelCard)
    shallow = card.model_copy(update={"arch_args": {**card.arch_args, "depth": 2}})
    torch.save(mocov3(tensors, "head"), tmp_path / "vit.pth.tar")
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(3))
    features = {}
    for heads in (12, 6):
        plain = timm.create_model(card.arch, num_classes=0, depth=2, num_heads=heads).eval()
        plain.load_state_dict(tensors, strict=True)
        with torch.no_grad():
            features[heads] = plain(images)
    with torch.no_grad():
        found = load_model(shallow, weights=tmp_path / "vit.pth.tar")(images)
    torch.testing.assert_close(found, features[12])
    assert (found - features[6]).abs().max() > 0.1 * found.abs().max()


def test_swavs_deviation_is_228() -> None:
    for name in ("swav_resnet50", "swav_resnet50w5", "deepclusterv2_resnet50", "selav2_resnet50"):
        card = registry().model(name)
        assert isinstance(card, ModelCard)
        assert card.preprocess.std == (0.228, 0.224, 0.225)
        assert card.preprocess.interpolation == "bilinear"
