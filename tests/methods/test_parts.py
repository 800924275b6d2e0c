"""Heads, followers, and a method by name."""

import copy

import pytest
import torch
from methods_common import TinyConvNet, images, tiny_vit
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from ssl_bench.errors import SettingsError, UnknownNameError
from ssl_bench.methods.contrastive.simclr import nt_xent
from ssl_bench.methods.load import load_method
from ssl_bench.methods.masked.mae import reconstruction
from ssl_bench.methods.method import Method
from ssl_bench.methods.negative_free.byol import regression
from ssl_bench.methods.negative_free.dino import distillation, teacher_distribution
from ssl_bench.methods.parts.ema import follow, follower
from ssl_bench.methods.parts.heads import PrototypeHead, WeightNormed, mlp
from ssl_bench.methods.parts.multicrop import encode_by_size
from ssl_bench.registry import METHODS


def test_mlp_has_the_layers_that_were_asked_for():
    plain = mlp([4, 8, 6, 2], norm=False, last_bias=True, activation=nn.GELU)
    assert [type(layer) for layer in plain] == [nn.Linear, nn.GELU, nn.Linear, nn.GELU, nn.Linear]
    normed = mlp([4, 8, 2], hidden_bias=False, last_norm="plain")
    assert [type(layer) for layer in normed] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear, nn.BatchNorm1d]
    assert normed[4].weight is None
    assert normed[0].bias is None
    assert normed[3].bias is None


def test_scale_norm_learns_a_scale_but_no_offset():
    head = mlp([4, 8, 2], last_norm="scale")
    assert head[4].weight.requires_grad
    assert not head[4].bias.requires_grad
    assert torch.allclose(head(torch.randn(16, 4)).mean(0), torch.zeros(2), atol=1e-6)


@pytest.mark.parametrize("learn", [True, False])
def test_weight_normed_is_torchs(learn):
    ours, theirs = WeightNormed(5, 7, learn), weight_norm(nn.Linear(5, 7, bias=False))
    theirs.parametrizations.weight.original0.data.copy_(ours.weight_g.data)
    theirs.parametrizations.weight.original1.data.copy_(ours.weight_v.data)
    x = torch.randn(3, 5)
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)
    ours(x).square().sum().backward()
    theirs(x).square().sum().backward()
    assert torch.allclose(ours.weight_v.grad, theirs.parametrizations.weight.original1.grad, atol=1e-5)
    assert (ours.weight_g.grad is not None) == learn


def test_prototype_scores_are_cosines():
    scores = PrototypeHead(8, 20, hidden=16, bottleneck=4)(100 * torch.randn(50, 8))
    assert scores.shape == (50, 20)
    assert scores.abs().max() <= 1 + 1e-5


def test_follower_is_a_frozen_copy_without_noise():
    network = tiny_vit(drop_path_rate=0.4, proj_drop_rate=0.3)
    copied = follower(network)
    assert not any(p.requires_grad for p in copied.parameters())
    assert all(p.requires_grad for p in network.parameters())
    assert torch.equal(copied(images(2)), network.eval()(images(2)))


def test_following_is_an_average_of_parameters_and_leaves_buffers():
    online, target = TinyConvNet(), TinyConvNet()
    expected = {n: 0.9 * t + 0.1 * o for (n, t), o in zip(target.named_parameters(), online.parameters(), strict=True)}
    online(images(8))
    buffers = {name: buffer.clone() for name, buffer in target.named_buffers()}
    theta = copy.deepcopy(online.state_dict())
    follow(target, online, 0.9)
    for name, parameter in target.named_parameters():
        assert torch.allclose(parameter, expected[name], atol=1e-7)
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in target.named_buffers())
    assert all(torch.equal(value, theta[name]) for name, value in online.state_dict().items())


def test_views_of_several_sizes_come_back_in_order():
    encoder, calls = TinyConvNet().eval(), []
    encoder.register_forward_pre_hook(lambda module, args: calls.append(tuple(args[0].shape)))
    views = [images(2, 16), images(2, 16, 1), images(2, 8, 2), images(2, 8, 3), images(2, 8, 4)]
    together = encode_by_size(encoder, views)
    assert calls == [(4, 3, 16, 16), (6, 3, 8, 8)]
    assert torch.allclose(together, torch.cat([encoder(view) for view in views]), atol=1e-6)


def losses_of_fixed_projections(dtype: torch.dtype) -> list[torch.Tensor]:
    """Every loss on vectors that bfloat16 represents exactly."""
    generator = torch.Generator().manual_seed(0)
    z1, z2 = torch.randn(2, 6, 8, generator=generator).bfloat16().to(dtype)
    scores = torch.randn(4, 6, 8, generator=generator).bfloat16().to(dtype)
    targets = teacher_distribution(scores[:2], torch.zeros(8), 0.05)
    hidden = torch.arange(6).expand(4, 6) < 3
    return [
        nt_xent(z1, z2, 0.1)[0],
        regression(z1, z2),
        distillation(scores, targets, 0.1),
        reconstruction(scores, scores**2, hidden),
    ]


def test_losses_are_computed_in_float32_under_autocast():
    expected = losses_of_fixed_projections(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = losses_of_fixed_projections(torch.float32)
        low = losses_of_fixed_projections(torch.bfloat16)[:3]
    assert all(loss.dtype == torch.float32 for loss in found + low)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(low, expected[:3], strict=True))


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_built_in_method_trains_one_step_on_its_own_views(name):
    """A smoke test of the whole contract: settings, augmentation, loss, gradients, state to resume from."""
    small = {"dino": {"prototypes": 8, "local_crops": 1}, "mae": {"decoder_dim": 8, "decoder_heads": 2}}
    method = load_method(name, tiny_vit(), total_steps=4, steps_per_epoch=2, **small.get(name, {}))
    assert isinstance(method, Method)
    assert method.summary
    specs = type(method).augmentation(16, method.config)
    views = [images(4, spec.size, i) for i, spec in enumerate(specs)]
    terms = method(views, 0)
    assert all(value.ndim == 0 and torch.isfinite(value) for value in terms.values())
    terms["loss"].backward()
    method.before_step(0)
    method.after_step(0)
    fresh = load_method(name, tiny_vit(), total_steps=4, steps_per_epoch=2, **small.get(name, {}))
    fresh.load_state_dict(method.state_dict())
    torch.manual_seed(1)
    expected = method(views, 1)["loss"]
    torch.manual_seed(1)
    assert torch.equal(fresh(views, 1)["loss"], expected)
    assert method.evaluated(images(2)).shape == (2, 16)


def test_wrong_names_and_settings_are_explained():
    with pytest.raises(UnknownNameError, match="simclr"):
        load_method("simclear", TinyConvNet())
    with pytest.raises(SettingsError, match="temperature"):
        load_method("simclr", TinyConvNet(), temperature=-1.0)
    with pytest.raises(SettingsError, match="no such setting"):
        load_method("byol", TinyConvNet(), prototypes=3)
    with pytest.raises(SettingsError, match="embed_dim"):
        load_method("simclr", nn.Flatten())
