"""The classifier: what its head sees, how it begins, and what happens to the backbone's copy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from protocols.finetune_toys import CARD, SIDE, TINY, backbone, compute
from torch import nn

from ssl_bench.backbones.archs import build as network
from ssl_bench.backbones.archs import wrap
from ssl_bench.backbones.positions import interpolate
from ssl_bench.errors import SettingsError
from ssl_bench.protocols.finetune.net import build, resize_for_test, resize_positions, set_batch_norm_momentum
from ssl_bench.training.trainable import trainable_copy

IMAGES = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def classifier(tmp_path: Path, net: Any, feature: Any, size: int = SIDE, **fields: Any) -> Any:
    return build(net, 5, replace(TINY, feature=feature, head_std=0.02, **fields), size, compute(tmp_path)).eval()


def test_maes_head_sees_the_mean_patch_before_the_norm(tmp_path: Path) -> None:
    net = backbone(class_token=True)
    made = classifier(tmp_path, net, "mean_norm")
    tokens = net.module.patch_embed(IMAGES)
    tokens = torch.cat([net.module.cls_token.expand(3, -1, -1), tokens], 1) + net.module.pos_embed
    for block in net.module.blocks:
        tokens = block(tokens)
    pooled = tokens[:, 1:].mean(1)
    normed = (pooled - pooled.mean(1, keepdim=True)) / (pooled.var(1, unbiased=False, keepdim=True) + 1e-6).sqrt()
    linear = made.head[-1]
    torch.testing.assert_close(made(IMAGES), normed @ linear.weight.T + linear.bias)


@pytest.mark.parametrize(
    ("arguments", "wanted", "expected"),
    [
        ({"class_token": True}, "cls", "cls"),
        ({"class_token": False, "global_pool": "avg"}, "cls", "mean_patch"),
        ({"class_token": False, "global_pool": "avg"}, "mean_norm", "mean_norm"),
    ],
)
def test_the_feature_suits_the_vit(arguments: dict[str, Any], wanted: Any, expected: str, tmp_path: Path) -> None:
    made = classifier(tmp_path, backbone(**arguments), wanted)
    assert made.feature == expected
    assert made(IMAGES).shape == (3, 5)


@pytest.mark.parametrize("feature", ["mean_norm", "cls", "default"])
@pytest.mark.parametrize(
    ("arch", "arguments", "size"),
    [
        ("resnet_small32", {"width": 4}, 32),
        ("resnet10t", {}, 32),
        (
            "swin_tiny_patch4_window7_224",
            {"img_size": 32, "window_size": 4, "embed_dim": 24, "depths": (1, 1, 1, 1)},
            32,
        ),
        ("beit_base_patch16_224", {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}, 32),
        ("convnext_atto", {"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 16)}, 32),
    ],
)
def test_every_kind_of_network_is_trained(
    arch: str, arguments: dict[str, Any], size: int, feature: Any, tmp_path: Path
) -> None:
    net = wrap(network(arch, arguments), "default", CARD.model_copy(update={"resize": size, "crop": size}), arch)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    made = classifier(tmp_path, net.eval().requires_grad_(False), feature, size, drop_path=0.1).train()
    made(torch.randn(4, 3, size, size)).sum().backward()
    assert sum(p.grad is not None for p in made.backbone.parameters()) >= len(list(net.parameters())) - 4
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_the_head_begins_small_and_follows_from_the_seed(tmp_path: Path) -> None:
    net = backbone(dim=64)
    made = build(net, 100, replace(TINY, head_std=2e-5), SIDE, compute(tmp_path))
    weight = made.head[-1].weight.detach()
    assert float(weight.std()) == pytest.approx(2e-5, rel=0.05)
    assert not made.head[-1].bias.any()
    torch.manual_seed(99)
    again = build(net, 100, replace(TINY, head_std=2e-5), SIDE, compute(tmp_path)).head[-1].weight
    other = build(net, 100, replace(TINY, head_std=2e-5), SIDE, compute(tmp_path, seed=1)).head[-1].weight
    assert torch.equal(weight, again)
    assert not torch.equal(weight, other)


def test_positions_are_resampled_once_and_then_trained() -> None:
    net = backbone(class_token=True)
    images = torch.randn(2, 3, 32, 32)
    before = net(images)  # resampled in every forward
    copy = trainable_copy(net)
    resize_positions(copy, 32)
    table = copy.module.pos_embed
    assert table.shape == (1, 1 + 64, 16)
    assert table.requires_grad
    torch.testing.assert_close(table[:, 1:], interpolate(net.module.pos_embed[:, 1:], (4, 4), (8, 8), "plain", True))
    assert torch.equal(table[:, :1], net.module.pos_embed[:, :1])
    torch.testing.assert_close(copy(images), before)
    assert net.module.pos_embed.shape == (1, 17, 16)


@pytest.mark.parametrize(("steps", "kept"), [(1, 0.9), (20, 0.9), (100, 0.9), (1000, 0.99)])
def test_batch_norm_momentum(steps: int, kept: float) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    set_batch_norm_momentum(net, steps)
    net.train()
    net[1].running_mean.fill_(1.0)
    net(torch.zeros(2, 3, 4, 4))
    new = net[0].bias.detach()
    assert max(1 - 10 / steps, 0.9) == pytest.approx(kept)
    torch.testing.assert_close(net[1].running_mean, kept * torch.ones(4) + (1 - kept) * new)


@pytest.mark.parametrize(("size", "expected"), [(224, 256), (96, 109), (64, 73), (225, 225), (384, 384), (448, 448)])
def test_test_images_are_resized(size: int, expected: int) -> None:
    assert resize_for_test(size, 0.875) == expected


def test_a_network_without_weights_cannot_be_trained(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no weights"):
        classifier(tmp_path, wrap(network("raw_pixels", {"size": SIDE}), "default", CARD, "raw_pixels"), "default")
