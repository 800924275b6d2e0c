"""What would become of BYOL's weights if they were loaded the wrong way, and TensorFlow's padding itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from proofs import PROOFS
from proofs.haiku import byol_forward, byol_shapes, experiment, same, save
from proofs.proof import Tensors

from ssl_bench.backbones.archs import build
from ssl_bench.backbones.load import load_model
from ssl_bench.cards import ModelCard
from ssl_bench.errors import CheckpointError, SettingsError
from ssl_bench.registry import registry

FILES = Path(__file__).parent / "files"
PROOF = next(proof for proof in PROOFS if proof.model == "byol_resnet50")


def card(**arch_args: Any) -> ModelCard:
    found = registry().model("byol_resnet50")
    assert isinstance(found, ModelCard)
    return found.model_copy(update={"arch_args": {**found.arch_args, **PROOF.thin, **arch_args}})


def images(size: tuple[int, int]) -> torch.Tensor:
    """The same in ``files/make_byol.py``."""
    height, width = size
    at = np.arange(height * width * 3, dtype=np.float64).reshape(1, height, width, 3)
    return torch.from_numpy(np.sin(at * 0.37 + np.sin(at * 0.011)).astype(np.float32)).permute(0, 3, 1, 2)


@pytest.mark.parametrize(("size", "which"), [((64, 64), 0), ((37, 50), 1)])
def test_features_are_haikus_own(size: tuple[int, int], which: int) -> None:
    """A pickle that dill wrote of a network that Haiku built, and the features that Haiku gave: at an even size and at
    odd ones, where SAME pads otherwise."""
    backbone = load_model(card(width=1, blocks=[1, 1, 1, 1]), weights=FILES / "byol_tiny.pkl")
    expected = torch.from_numpy(np.load(FILES / "byol_tiny_features.npy"))[which]
    with torch.no_grad():
        torch.testing.assert_close(backbone(images(size)), expected, rtol=1e-4, atol=1e-4)


def relative(found: torch.Tensor, right: torch.Tensor) -> float:
    return float((found - right).norm() / right.norm())


def test_symmetric_padding_changes_the_features(tmp_path: Path) -> None:
    """The same tensors fit torch's padding without a word."""
    path = save(experiment(PROOF.tensors()), tmp_path)
    x = torch.nn.functional.interpolate(torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)), 224)
    with torch.no_grad():
        right, wrong = load_model(card(), weights=path)(x), load_model(card(padding="torch"), weights=path)(x)
        torch.testing.assert_close(
            right, byol_forward(PROOF.tensors(), x), rtol=1e-3, atol=1e-3 * float(right.abs().max())
        )
    assert relative(wrong, right) > 0.02


@pytest.mark.parametrize("size", range(15, 24))
def test_padding_at_any_size(size: int) -> None:
    """ceil(n / stride) pixels in every layer; at 7 x 7 with stride 2 as stated for 224: 2 before, 3 after."""
    net = build("resnet50w1", {"width": 2, "blocks": [1, 1, 1, 1], "padding": "same"})
    x = torch.randn(1, 3, size, size + 3)
    with torch.no_grad():
        found: torch.Tensor = net.conv1(x)  # type: ignore[operator]
        expected = torch.nn.functional.conv2d(same(x, 7, 2), net.conv1.weight, stride=2)  # type: ignore[union-attr,arg-type]
        pooled: torch.Tensor = net.maxpool(-x.abs())  # type: ignore[operator]
    torch.testing.assert_close(found, expected)
    assert found.shape[-2:] == pooled.shape[-2:] == (-(-size // 2), -(-(size + 3) // 2))
    assert pooled.max() < 0  # nothing but pixels is pooled
    assert same(torch.zeros(1, 1, 224, 224), 7, 2).shape[-1] == 229
    assert [same(torch.ones(1, 1, 224, 224), k, 2)[0, 0, 100].tolist().index(1.0) for k in (7, 3, 1)] == [2, 0, 0]


def test_only_the_online_network_and_its_averages_are_taken(tmp_path: Path) -> None:
    """The target network and the uncorrected running statistics have the same names and shapes; without the authors'
    choice of them nothing would stop."""
    tensors = PROOF.tensors()
    content = experiment(tensors)
    found = load_model(card(), weights=save(content, tmp_path)).state_dict()
    average = tensors["res_net50/~/initial_batchnorm/~/mean_ema/average"]
    assert torch.equal(found["module.bn1.running_mean"], average.flatten())
    assert torch.equal(found["module.conv1.weight"], tensors["res_net50/~/initial_conv/w"].permute(3, 2, 0, 1))
    state = content["experiment_state"]
    assert not torch.equal(
        state["target_params"]["res_net50/~/initial_conv"]["w"], tensors["res_net50/~/initial_conv/w"]
    )


def extended(tensors: Tensors, **more: torch.Tensor) -> Tensors:
    return {**tensors, **more}


@pytest.mark.parametrize(
    "name",
    [
        "res_net50/~/initial_conv_1/w",
        "res_net50/~/block_group_0/~/block_0/~/initial_conv/w",
        "res_net50/~/block_group_0/~/block_0/~/shortcut_conv_1/w",
        "res_net50/~/conv_0/w",
        "res_net50_1/~/initial_conv/w",
        "res_net50/~/initial_conv/b",
    ],
)
def test_a_second_tensor_for_one_place_is_left_over(name: str, tmp_path: Path) -> None:
    tensors = PROOF.tensors()
    more = extended(tensors, **{name: tensors["res_net50/~/initial_conv/w"]})
    with pytest.raises(CheckpointError, match="1 left over"):
        load_model(card(), weights=save(experiment(more), tmp_path))


def test_other_files_and_networks_are_told(tmp_path: Path) -> None:
    torch.save({"state_dict": {"conv1.weight": torch.ones(1)}}, tmp_path / "moco.pth")
    with pytest.raises(CheckpointError, match="no experiment_state.*its entries: state_dict"):
        load_model(card(), weights=tmp_path / "moco.pth")
    deeper = {name: torch.ones(shape) for name, shape in byol_shapes("res_net50/~", (3, 1, 1, 1), 8).items()}
    with pytest.raises(CheckpointError, match="left over"):
        load_model(card(), weights=save(experiment(deeper), tmp_path))
    with pytest.raises(SettingsError, match="padding is torch or same"):
        build("resnet50w1", {"padding": "valid"})


def test_the_transform_crops_before_it_resizes() -> None:
    """dataset.py: 224 / (224 + 32) of the shorter side, rounded down, from the middle; then bicubic to 224."""
    for name in ("byol_resnet50", "byol_resnet200w2"):
        found = registry().model(name)
        assert isinstance(found, ModelCard)
        given = found.preprocess
        assert (given.resize, given.crop, given.crop_first, given.interpolation) == (256, 224, "down", "bicubic")
        assert found.licence == "CC-BY-NC-4.0"
