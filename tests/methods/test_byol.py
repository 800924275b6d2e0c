import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.loss import NegativeCosineSimilarity
from methods_common import TinyConvNet, descend, images

from ssl_bench.methods.load import load_method
from ssl_bench.methods.negative_free.byol import BYOL, BYOLSettings, regression

SMALL = {"hidden_dim": 16, "projection_dim": 8}


def test_regression_is_equation_2_and_lightlys():
    p, z = torch.randn(2, 5, 7)
    naive = 0.0
    for a, b in zip(p.double(), z.double(), strict=True):
        naive += float(((a / a.norm() - b / b.norm()) ** 2).sum()) / 5
    assert regression(p, z).item() == pytest.approx(naive, rel=1e-5)
    assert regression(p, z).item() == pytest.approx(2 + 2 * NegativeCosineSimilarity()(p, z).item(), rel=1e-5)


def test_gradient_is_twice_lightlys_and_stops_at_the_target():
    p, z = torch.randn(2, 5, 7)
    ours, theirs, target = p.clone().requires_grad_(), p.clone().requires_grad_(), z.clone().requires_grad_()
    regression(ours, target).backward()
    NegativeCosineSimilarity()(theirs, z).backward()
    assert torch.allclose(ours.grad, 2 * theirs.grad, atol=1e-6)
    assert target.grad is None


@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100))
@settings(deadline=None, max_examples=25)
def test_regression_lies_between_0_and_4_and_ignores_length_and_order(seed, scale):
    p, z = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(seed))
    loss = regression(p, z).item()
    assert 0 <= loss <= 4
    assert regression(scale * p.flip(0), z.flip(0)).item() == pytest.approx(loss, abs=1e-5)
    assert regression(p, p).item() == pytest.approx(0, abs=1e-6)
    assert regression(p, -p).item() == pytest.approx(4, abs=1e-5)


def test_loss_is_the_sum_of_both_directions():
    method, views = load_method("byol", TinyConvNet(), **SMALL), [images(6), images(6, seed=1)]
    q = [method.predictor(method.projector(method.encoder(v))) for v in views]
    z = [method.target_projector(method.target_encoder(v)) for v in views]
    by_hand = regression(q[0], z[1]) + regression(q[1], z[0])
    assert method(views, 0)["loss"].item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_only_the_online_network_learns_by_gradient():
    method = load_method("byol", TinyConvNet(), **SMALL)
    method([images(6), images(6, seed=1)], 0)["loss"].backward()
    for name, parameter in method.named_parameters():
        assert (parameter.grad is None) == name.startswith("target_"), name
        assert parameter.requires_grad != name.startswith("target_")


def test_target_follows_with_a_cosine_momentum_and_keeps_its_own_statistics():
    method = load_method("byol", TinyConvNet(), total_steps=10, momentum=0.9, **SMALL)
    with torch.no_grad():
        for parameter in method.encoder.parameters():
            parameter.add_(1.0)
    before = method.target_encoder.net[0].weight.clone()
    method.after_step(0)
    assert torch.allclose(method.target_encoder.net[0].weight, before + 0.1, atol=1e-6)
    before = method.target_encoder.net[0].weight.clone()
    gap = method.encoder.net[0].weight - before
    method.after_step(5)
    momentum = 1 - 0.1 * (math.cos(math.pi * 5 / 10) + 1) / 2
    assert torch.allclose(method.target_encoder.net[0].weight, before + (1 - momentum) * gap, atol=1e-6)
    before = method.target_encoder.net[0].weight.clone()
    method.after_step(10)
    assert torch.equal(method.target_encoder.net[0].weight, before)
    method([images(6), images(6, seed=1)], 0)
    assert not torch.equal(method.encoder.net[1].running_mean, method.target_encoder.net[1].running_mean)


def test_training_lowers_the_loss_and_evaluates_the_online_encoder():
    method = load_method("byol", TinyConvNet(), total_steps=100, **SMALL)
    losses = descend(method, [images(8), images(8) + 0.1 * images(8, seed=1)], 25)
    assert losses[-1] < 0.5 * losses[0]
    assert method.evaluated is method.encoder


def test_augmentation_is_asymmetric():
    first, second = BYOL.augmentation(224, BYOLSettings())
    assert (first.blur, first.solarize, second.blur, second.solarize) == (1.0, 0.0, 0.1, 0.2)
    assert first.jitter == second.jitter == (0.4, 0.4, 0.2, 0.1)


def test_projector_and_predictor_are_the_papers():
    method = load_method("byol", TinyConvNet())
    assert [layer.out_features for layer in method.projector if hasattr(layer, "out_features")] == [4096, 256]
    assert [layer.out_features for layer in method.predictor if hasattr(layer, "out_features")] == [4096, 256]
    assert method.projector[0].bias is not None
    assert method.projector[3].bias is None
