"""Maps of every kind of backbone, heads on them, and what is restated naively."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dense_toys import Answer, network
from torch.nn import functional as F

from ssl_bench.backbones.any_size import accept_any_size
from ssl_bench.backbones.dilate import dilate_last_stage
from ssl_bench.errors import SettingsError
from ssl_bench.protocols.dense.depth_heads import BINS, DPT, Bins, UpProjection, up_projection_head
from ssl_bench.protocols.dense.heads import auxiliary_head, convnext_head, fcn_head, linear_head
from ssl_bench.protocols.dense.nets import DenseNet, padded
from ssl_bench.protocols.dense.taps import Taps, for_maps, numbers_of, spread
from ssl_bench.protocols.dense.upernet import SCALES, UPerNet, upernet_head
from ssl_bench.training.drop_path import set_drop_path
from ssl_bench.training.trainable import trainable_copy

KINDS = ("vit", "vit8", "beit", "resnet", "resnet50", "swin")
HEADS = {
    "linear": lambda taps: linear_head(taps.channels, 5),
    "fcn": lambda taps: fcn_head(taps.channels, 5, 16),
    "upernet": lambda taps: upernet_head(taps.channels, taps.strides, taps.staged, 5, 16),
    "convnext": lambda taps: convnext_head(taps.channels, 5, 64),
    "dpt": lambda taps: DPT(taps.channels, taps.strides, taps.staged, 16),
    "bins": lambda taps: Bins(taps.channels, 1e-3, 10),
    "up_projection": lambda taps: up_projection_head(taps.channels, (16, 8, 8, 8)),
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_head_on_every_kind_of_backbone(kind: str, head: str) -> None:
    taps = Taps(for_maps(network(kind), 64, frozen=True), "thirds")
    net = DenseNet(taps, HEADS[head](taps), frozen=True, auxiliary=auxiliary_head(taps.channels, 5, 8))
    images = torch.randn(2, 3, 54, 71)  # a size that no network halves five times
    outputs = net.train().with_auxiliary(images)
    assert [output.shape[-2:] for output in outputs] == [images.shape[-2:]] * 2
    assert outputs[0].shape[1] == (5 if head in {"linear", "fcn", "upernet", "convnext"} else 1)
    outputs[0].sum().backward()
    assert all(p.grad is None for p in net.backbone.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in net.heads["head"].parameters())


def test_the_papers_blocks() -> None:
    assert spread(12, "thirds") == (3, 5, 7, 11)
    assert spread(24, "thirds") == (7, 11, 15, 23)
    assert spread(12, "quarters") == (2, 5, 8, 11)
    assert spread(24, "quarters") == (4, 11, 17, 23)
    assert spread(40, "quarters") == (9, 19, 29, 39)
    assert numbers_of("thirds", 4, True, "x") == (0, 1, 2, 3)
    assert numbers_of(2, 12, False, "x") == (10, 11)
    assert numbers_of((0, 3), 12, False, "x") == (0, 3)
    for wrong in (13, 0, (12,), (-1,)):
        with pytest.raises(SettingsError, match="x has 12 blocks; blocks="):
            numbers_of(wrong, 12, False, "x")


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_by_number_are_the_last_blocks(kind: str) -> None:
    backbone, images = network(kind), torch.randn(1, 3, 64, 64)
    last = backbone.layers(images, 3)
    some = backbone.layers_at(images, [backbone.depth - 1, backbone.depth - 3])
    torch.testing.assert_close(some[0].map, last[2].map)
    torch.testing.assert_close(some[1].map, last[0].map)


def test_without_the_final_norm() -> None:
    backbone, images = network("vit"), torch.randn(1, 3, 64, 64)
    (plain,), (normed,) = (backbone.layers_at(images, [2], norm) for norm in (False, True))
    tokens = plain.map.flatten(2).transpose(1, 2)
    torch.testing.assert_close(backbone.module.norm(tokens), normed.map.flatten(2).transpose(1, 2))
    assert not torch.allclose(plain.map, normed.map)


def test_class_tokens_joined_to_patches() -> None:
    taps = Taps(network("vit"), 1, cls=True)
    assert taps.channels == [96]
    maps = taps(torch.randn(2, 3, 64, 64))[0]
    assert torch.equal(maps[:, 48:, 0, 0], maps[:, 48:, 3, 2])
    with pytest.raises(SettingsError, match="no class token to join"):
        Taps(network("resnet"), 1, cls=True)


def test_maps_lie_where_the_image_does() -> None:
    """Padding must not stretch the maps: a row of the image stays where it is."""
    taps = Taps(Answer(), 1)
    taps.multiple = 16
    net = DenseNet(taps, torch.nn.Sequential(torch.nn.Identity()), frozen=True)
    net.heads["head"].forward = lambda maps: F.avg_pool2d(maps[0], 16)
    images = torch.zeros(1, 3, 24, 24)
    images[..., 16:] = 1
    found = net(images)
    assert found.shape == images.shape
    assert float(found[..., 4].mean()) == 0
    assert float(found[..., 8:16].mean()) < float(found[..., 18:].mean())
    assert padded(images, 16).shape[-2:] == (32, 32)


def test_a_swin_takes_any_size_and_keeps_its_weights() -> None:
    backbone = network("swin")
    changed = accept_any_size(backbone, 64)
    assert changed is not backbone
    with pytest.raises(SettingsError):
        backbone.layers(torch.randn(1, 3, 96, 64))
    assert changed.layers(torch.randn(1, 3, 96, 64))[0].map.shape[-2:] == (3, 2)
    for name, tensor in backbone.state_dict().items():
        torch.testing.assert_close(changed.state_dict()[name], tensor)
    images = torch.randn(1, 3, 64, 64)  # stages larger than one window are what they were
    torch.testing.assert_close(changed.layers_at(images, [0])[0].map, backbone.layers_at(images, [0])[0].map)
    vit = network("vit")
    assert accept_any_size(vit, 64) is vit


def test_a_beit_with_tables_of_its_blocks_takes_any_size() -> None:
    backbone = network("beit")
    for block in backbone.module.blocks:
        torch.nn.init.normal_(block.attn.relative_position_bias_table)
    images = torch.randn(1, 3, 64, 64)
    changed = accept_any_size(backbone, 96)
    torch.testing.assert_close(changed.layers(images)[0].map, backbone.layers(images)[0].map)
    wide = changed.layers(torch.randn(1, 3, 64, 96))[0].map
    assert wide.shape[-2:] == (4, 6)
    with pytest.raises(SettingsError, match="position table each"):
        backbone.layers(torch.randn(1, 3, 64, 96))


@pytest.mark.parametrize("kind", ["resnet", "resnet50"])
def test_a_dilated_last_stage_keeps_weights_and_resolution(kind: str) -> None:
    backbone = network(kind)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    images = torch.randn(1, 3, 64, 64)
    third = backbone.layers_at(images, [2])[0].map
    dilated = dilate_last_stage(trainable_copy(backbone))
    maps = dilated.layers_at(images, [2, 3])
    assert maps[1].map.shape[-2:] == third.shape[-2:]
    torch.testing.assert_close(maps[0].map, third)
    assert all(torch.equal(tensor, before[name]) for name, tensor in dilated.state_dict().items())
    # Where the plain stage looks at every second pixel, the dilated one looks with gaps of the same width.
    conv = dilated.module.layer4[0].conv1 if kind == "resnet" else dilated.module.layer4[0].conv2
    plain = backbone.module.layer4[0].conv1 if kind == "resnet" else backbone.module.layer4[0].conv2
    x = torch.randn(1, conv.in_channels, 8, 8)
    spaced = torch.zeros(1, conv.in_channels, 16, 16)
    spaced[..., ::2, ::2] = x
    torch.testing.assert_close(conv(spaced)[..., ::2, ::2], F.conv2d(x, plain.weight, padding=1))
    with pytest.raises(SettingsError, match="no last stage to dilate"):
        dilate_last_stage(network("vit"))


def test_drop_path_grows_with_depth() -> None:
    vit = trainable_copy(network("vit"))
    assert set_drop_path(vit, 0.5) == 6
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in vit.module.blocks]
    np.testing.assert_allclose(rates, np.linspace(0, 0.5, 6))
    assert set_drop_path(vit, 0.0) == 6
    assert all(not hasattr(block.drop_path2, "drop_prob") for block in vit.module.blocks)
    assert set_drop_path(trainable_copy(network("resnet")), 0.5) == 0


def test_upernet_restated() -> None:
    torch.manual_seed(0)
    head = UPerNet([4, 6, 8, 10], 3, 16).eval()
    for layer in head.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight), torch.nn.init.uniform_(layer.running_mean)
    maps = [torch.randn(2, c, 48 // 2**i, 32 // 2**i) for i, c in enumerate((4, 6, 8, 10))]
    up = lambda x, like: F.interpolate(x, like.shape[-2:], mode="bilinear")  # noqa: E731

    def block(layers: torch.nn.Sequential, x: torch.Tensor) -> torch.Tensor:
        conv, norm = (
            next(m for m in layers if isinstance(m, kind)) for kind in (torch.nn.Conv2d, torch.nn.BatchNorm2d)
        )
        y = F.conv2d(x, conv.weight, padding=conv.kernel_size[0] // 2)
        return F.relu(F.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, norm.bias))

    pools = [up(block(p, F.adaptive_avg_pool2d(maps[3], s)), maps[3]) for p, s in zip(head.pools, SCALES, strict=True)]
    p5 = block(head.pooled, torch.cat([maps[3], *pools], 1))
    sums = [p5]
    for i in (2, 1, 0):
        lateral = block(head.lateral[i], maps[i])
        sums.insert(0, lateral + up(sums[0], lateral))
    out = [block(head.smooth[i], sums[i]) for i in range(3)] + [p5]
    fused = block(head.fused, torch.cat([out[0], *(up(o, out[0]) for o in out[1:])], 1))
    expected = F.conv2d(fused, head.classify[1].weight, head.classify[1].bias)
    torch.testing.assert_close(head(maps), expected)


def test_a_vits_maps_come_to_four_strides() -> None:
    for kind, sizes in {"vit": [16, 8, 4, 2], "vit8": [16, 8, 4, 2]}.items():
        taps = Taps(network(kind), "thirds")
        rescaled = upernet_head(taps.channels, taps.strides, taps.staged, 5, 16)[0]
        assert [m.shape[-1] for m in rescaled(taps(torch.randn(1, 3, 64, 64)))] == sizes
    staged = Taps(network("resnet"), "thirds")
    maps = staged(torch.randn(1, 3, 64, 64))
    for kept, given in zip(upernet_head(staged.channels, staged.strides, True, 5, 16)[0](maps), maps, strict=True):
        assert kept is given


def test_the_adapter_lays_vectors_out_as_a_finer_grid() -> None:
    head = convnext_head([6], 3, width=32, finer=4, depth=1)
    x = torch.randn(2, 6, 3, 5)
    grid = head[1](head[0](x))
    assert grid.shape == (2, 2, 12, 20)
    vector = head[0](x)[0, :, 1, 2]
    torch.testing.assert_close(grid[0, :, 4:8, 8:12], vector.reshape(2, 4, 4))
    assert head([x]).shape == (2, 3, 12, 20)


def test_bins_restated() -> None:
    torch.manual_seed(0)
    head = Bins([6], 0.5, 8.0)
    x = torch.randn(1, 6, 2, 3)
    conv = head.scores[0]
    fine = F.interpolate(x, scale_factor=4, mode="bilinear")
    found = conv.weight[:, :, 0, 0].double() @ fine[0].flatten(1).double() + conv.bias[:, None].double()
    scores = found.detach().numpy()
    weights = np.maximum(scores, 0) + 0.1
    expected = (weights / weights.sum(0) * np.linspace(0.5, 8.0, BINS)[:, None]).sum(0)
    np.testing.assert_allclose(head([x])[0, 0].detach().numpy().ravel(), expected, rtol=1e-5)


def test_up_projection_restated() -> None:
    torch.manual_seed(0)
    block = UpProjection(3, 4).eval()
    x = torch.randn(1, 3, 5, 6)
    one = torch.zeros(3, 1, 2, 2)
    one[:, :, 0, 0] = 1
    apart = F.conv_transpose2d(x, one, stride=2, groups=3)
    long = block.long[4](block.long[3](F.relu(block.long[1](block.long[0](apart)))))
    expected = F.relu(long + block.short[1](block.short[0](apart)))
    assert block(x).shape == (1, 4, 10, 12)
    torch.testing.assert_close(block(x), expected)
