"""SimCLR's traps: what would load without a word and give other features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from proofs import PROOFS
from proofs.proof import Proof, Tensors
from proofs.simclr import Variables, network, selective
from torch import nn
from torch.nn import functional as F

from ssl_bench.backbones.archs import build
from ssl_bench.backbones.load import load_model
from ssl_bench.backbones.nets.tf_resnet import SelectiveKernels, ShortcutPool
from ssl_bench.cards import ModelCard
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import CheckpointError
from ssl_bench.registry import registry

TF_MODELS = sorted({p.model for p in PROOFS if p.model.startswith("simclr") and "vissl" not in p.model})


def proof_of(model: str, form: str = "") -> Proof:
    return next(p for p in PROOFS if p.model == model and form in {"", p.form})


def card_of(model: str, **arch_args: Any) -> ModelCard:
    card = registry().model(model)
    assert isinstance(card, ModelCard)
    return card.model_copy(update={"arch_args": {**card.arch_args, **arch_args}})


def loaded(proof: Proof, folder: Path, content: Tensors | None = None) -> Any:
    folder.mkdir(exist_ok=True)
    path = proof.write(content or proof.file(proof.tensors()), folder)
    return load_model(card_of(proof.model, **proof.thin), weights=path)


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("model", ["simclr_resnet50", "simclrv2_resnet50sk"])
def test_torchs_max_pooling_gives_other_features(model: str, tmp_path: Path) -> None:
    proof = proof_of(model)
    backbone, images = loaded(proof, tmp_path), proof.images()
    expected = proof.forward(proof.tensors(), images)
    with torch.no_grad():
        assert distance(backbone(images), expected) < 1e-5
        backbone.module.maxpool = nn.MaxPool2d(3, 2, 1)
        assert distance(backbone(images), expected) > 0.01


def test_the_moving_average_is_taken_and_not_the_trained_weights(tmp_path: Path) -> None:
    proof = proof_of("simclrv2_resnet50")
    content, images = proof.file(proof.tensors()), proof.images()
    trained = {name: t for name, t in content.items() if not name.startswith("ema_model/")}
    with torch.no_grad():
        average = loaded(proof, tmp_path / "a", content)(images)
        other = loaded(proof, tmp_path / "b", trained)(images)
    assert distance(average, proof.forward(proof.tensors(), images)) < 1e-5
    assert distance(other, average) > 0.1


def test_an_incomplete_moving_average_is_not_filled_up(tmp_path: Path) -> None:
    proof = proof_of("simclrv2_resnet50")
    content = proof.file(proof.tensors())
    del content["ema_model/base_model/conv2d_3/kernel"]
    with pytest.raises(CheckpointError, match="1 missing"):
        loaded(proof, tmp_path, content)


@pytest.mark.parametrize("model", ["simclr_resnet50", "simclrv2_resnet50sk"])
def test_the_first_variables_are_those_of_the_stem_and_the_shortcut(model: str) -> None:
    """By hand, from resnet.py: the shortcut comes before the first convolution of its block."""
    names = list(proof_of(model).full)
    kernels = {n: proof_of(model).full[n] for n in names if n.endswith("kernel")}
    if model.endswith("sk"):
        assert list(kernels.values())[:8] == [
            *((32, 3, 3, 3), (32, 32, 3, 3), (64, 32, 3, 3)),
            *((256, 64, 1, 1), (64, 64, 1, 1), (128, 64, 3, 3), (32, 64, 1, 1), (128, 32, 1, 1)),
        ]
    else:
        assert list(kernels.items())[:3] == [
            ("conv2d/kernel", (64, 3, 7, 7)),
            ("conv2d_1/kernel", (256, 64, 1, 1)),
            ("conv2d_2/kernel", (64, 64, 1, 1)),
        ]
        assert len(kernels) == 53


@pytest.mark.parametrize("name", ["conv2d_0/kernel", "conv2d_13/kernels", "conv2d_999/kernel", "dense/kernel"])
def test_a_variable_that_the_network_has_not_is_left_over(name: str, tmp_path: Path) -> None:
    proof = proof_of("simclr_resnet50", "files")
    content = proof.file(proof.tensors()) | {f"base_model/{name}": torch.ones(1, 1, 2, 2)}
    with pytest.raises(CheckpointError, match=rf"1 left over: {name}"):
        loaded(proof, tmp_path, content)


@pytest.mark.parametrize(("file", "model"), [("", "sk"), ("sk", ""), ("", "w2"), ("", "simclr_resnet50")])
def test_another_variants_file_is_refused(file: str, model: str, tmp_path: Path) -> None:
    proof = proof_of(f"simclrv2_resnet50{file}")
    path = proof.write(proof.file(proof.tensors()), tmp_path)
    if model == "simclr_resnet50":  # the same network: v2's file is good for v1's card
        assert load_model(card_of(model, **proof.thin), weights=path).embed_dim == 256
        return
    with pytest.raises(CheckpointError, match="does not fit"):
        load_model(card_of(f"simclrv2_resnet50{model}", **proof.thin), weights=path)


def test_two_kernels_are_weighed_in_the_authors_order() -> None:
    """Both halves have the same shapes: exchanged, nothing would be said."""
    torch.manual_seed(0)
    layer, x = SelectiveKernels(8, 1, 0.0625).eval(), torch.randn(2, 8, 5, 5)
    ours = {
        "conv2d/kernel": layer.conv.weight,
        "conv2d_1/kernel": layer.squeeze.weight,
        "conv2d_2/kernel": layer.weigh.weight,
    }
    for name, norm in (("batch_normalization", layer.bn), ("batch_normalization_1", layer.squeeze_bn)):
        parts = {"gamma": norm.weight, "beta": norm.bias}
        parts |= {"moving_mean": norm.running_mean, "moving_variance": norm.running_var}
        ours |= {f"{name}/{part}": tensor for part, tensor in parts.items()}
    with torch.no_grad():
        expected = selective(Variables(ours), x, 8, 1)
        torch.testing.assert_close(layer(x), expected)
        layer.weigh.weight.copy_(layer.weigh.weight.roll(8, dims=0))
        assert distance(layer(x), expected) > 0.01


def test_the_border_of_the_shortcuts_average() -> None:
    x = torch.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    assert ShortcutPool(1)(x).squeeze().tolist() == [[3, 4, 4.5], [6, 7, 7.5], [7.5, 8.5, 9]]
    assert ShortcutPool(2)(x).squeeze().tolist() == [[3, 2.25], [3.75, 2.25]]


def test_every_card_of_the_authors_has_that_preprocessing() -> None:
    assert len(TF_MODELS) == 16
    assert len({card_of(model).preprocess.model_dump_json() for model in TF_MODELS}) == 1


@pytest.mark.parametrize("side", [32, 33, 46, 63, 70, 75])
@pytest.mark.parametrize("sk", [False, True])
def test_images_of_any_size(side: int, sk: bool) -> None:
    torch.manual_seed(side)
    module = build("tf_resnet", {"channels": 4, "blocks": [1, 1, 1, 1], "sk_ratio": 0.0625 * sk}).eval()
    layers = [m for m in module.modules() if isinstance(m, (nn.Conv2d, nn.BatchNorm2d))]
    tensors, made = {}, {"conv2d": 0, "batch_normalization": 0}
    for layer in layers:
        kind = "conv2d" if isinstance(layer, nn.Conv2d) else "batch_normalization"
        at, made[kind] = kind + (f"_{made[kind]}" if made[kind] else ""), made[kind] + 1
        if isinstance(layer, nn.Conv2d):
            tensors[f"{at}/kernel"] = layer.weight
        else:
            for part, tensor in zip(
                ("gamma", "beta", "moving_mean", "moving_variance"),
                (layer.weight, layer.bias, layer.running_mean, layer.running_var),
                strict=True,
            ):
                tensors[f"{at}/{part}"] = tensor
    x = torch.randn(2, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(module(x), network(Variables(tensors), x, (1, 1, 1, 1), 4, sk), rtol=1e-4, atol=1e-5)


README_PARAMETERS = {
    "simclrv2_resnet50": 24,
    "simclrv2_resnet50sk": 35,
    "simclrv2_resnet50w2": 94,
    "simclrv2_resnet50w2sk": 140,
    "simclrv2_resnet101": 43,
    "simclrv2_resnet101sk": 65,
    "simclrv2_resnet101w2": 170,
    "simclrv2_resnet101w2sk": 257,
    "simclrv2_resnet152": 58,
    "simclrv2_resnet152sk": 89,
    "simclrv2_resnet152w2": 233,
    "simclrv2_resnet152w2sk": 354,
    "simclrv2_resnet152w3sk": 795,
}
"""Millions, without the classifier, as google-research/simclr's README rounds them (152w2: 232.3, 152w2sk: 353.4 exactly)."""


@pytest.mark.parametrize("model", README_PARAMETERS)
def test_the_networks_have_the_readmes_size(model: str) -> None:
    card = card_of(model)
    with torch.device("meta"):
        module = build(card.arch, card.arch_args)
    millions = sum(p.numel() for p in module.parameters()) / 1e6
    assert abs(millions - README_PARAMETERS[model]) < 0.8


def test_layers_and_pyramid() -> None:
    backbone = load_model(
        ModelCard(
            name="x", method="x", arch="tf_resnet", arch_args={"channels": 4, "sk_ratio": 0.0625}, embedding="pool"
        )
    )
    images = torch.randn(1, 3, 64, 96)
    assert [level.shape[1:] for level in backbone.pyramid(images)] == [
        (16, 16, 24),
        (32, 8, 12),
        (64, 4, 6),
        (128, 2, 3),
    ]
    with torch.no_grad():
        assert torch.equal(backbone.layers(images)[0].map.mean(dim=(2, 3)), backbone(images))


@pytest.mark.parametrize("model", ["simclr_resnet50", "simclrv2_resnet50"])
def test_preprocessing_is_the_authors(model: str, shared_data: Path) -> None:
    """preprocess_for_eval of data_util.py, with Pillow's bicubic filter: pixels / 255 and no more."""
    preprocess = Preprocess(card_of(model).preprocess)
    paths = sorted((shared_data / "imagenet1k_sample" / "images").glob("*.jpg"))[:3]
    assert len(paths) == 3
    for path in paths:
        with Image.open(path) as file:
            image = file.convert("RGB")
        height, width = np.asarray(image).shape[:2]
        side = int(np.rint(np.float32(0.875) * np.float32(min(height, width))))
        top, left = (height - side + 1) // 2, (width - side + 1) // 2
        cut = Image.fromarray(np.asarray(image)[top : top + side, left : left + side])
        expected = np.asarray(cut.resize((224, 224), Image.Resampling.BICUBIC), dtype=np.float32) / np.float32(255)
        np.testing.assert_array_equal(preprocess(image).permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("container", ["model_state_dict", "state_dict", "flat"])
def test_vissls_converted_files(container: str, tmp_path: Path) -> None:
    proof = proof_of("simclr_vissl_resnet50")
    trunk = {f"_feature_blocks.{name}": t for name, t in proof.tensors().items()}
    path = tmp_path / "converted.torch"
    torch.save(trunk if container == "flat" else {container: trunk}, path)
    backbone, images = load_model(card_of(proof.model, **proof.thin), weights=path), proof.images()
    with torch.no_grad():
        assert distance(backbone(images), proof.forward(proof.tensors(), images)) < 1e-5


def test_softmax_of_two_is_a_sigmoid() -> None:
    """The restated forward uses it."""
    a, b = torch.randn(2, 9)
    torch.testing.assert_close(F.softmax(torch.stack([a, b]), dim=0)[0], torch.sigmoid(a - b))
