import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.loss import NTXentLoss
from methods_common import TinyConvNet, descend, images
from torch import nn

from ssl_bench.methods.contrastive.simclr import SimCLR, SimCLRSettings, nt_xent
from ssl_bench.methods.load import load_method


def naive(z1: torch.Tensor, z2: torch.Tensor, temperature: float) -> float:
    """Equation 1 of the paper, one anchor at a time."""
    z = [row / row.norm() for pair in zip(z1.double(), z2.double(), strict=True) for row in pair]
    losses = []
    for i in range(len(z)):
        j = i + 1 if i % 2 == 0 else i - 1
        denominator = sum(math.exp(float(z[i] @ z[k]) / temperature) for k in range(len(z)) if k != i)
        losses.append(-math.log(math.exp(float(z[i] @ z[j]) / temperature) / denominator))
    return sum(losses) / len(losses)


def pair(n: int, d: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    z = torch.randn(2, n, d, generator=torch.Generator().manual_seed(seed))
    return z[0], z[0] + 0.5 * z[1]


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
def test_loss_is_equation_1_and_lightlys(temperature):
    z1, z2 = pair(7, 5)
    loss, _ = nt_xent(z1, z2, temperature)
    assert loss.item() == pytest.approx(naive(z1, z2, temperature), rel=1e-5)
    assert loss.item() == pytest.approx(NTXentLoss(temperature)(z1, z2).item(), rel=1e-5)


def test_gradient_is_lightlys():
    ours, theirs = ([z.clone().requires_grad_() for z in pair(6, 4)] for _ in range(2))
    nt_xent(*ours, 0.2)[0].backward()
    NTXentLoss(0.2)(*theirs).backward()
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a.grad, b.grad, atol=1e-6)


@given(n=st.integers(2, 12), seed=st.integers(0, 1000), scale=st.floats(0.01, 100))
@settings(deadline=None, max_examples=25)
def test_order_length_and_swap_do_not_matter(n, seed, scale):
    z1, z2 = pair(n, 6, seed)
    loss, accuracy = nt_xent(z1, z2, 0.3)
    shuffled = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    for other in ((z1[shuffled], z2[shuffled]), (z2, z1), (scale * z1, z2)):
        again = nt_xent(*other, 0.3)
        assert again[0].item() == pytest.approx(loss.item(), rel=1e-4)
        assert again[1].item() == pytest.approx(accuracy.item())


@given(n=st.integers(2, 64), temperature=st.floats(0.05, 2))
@settings(deadline=None, max_examples=25)
def test_equal_vectors_give_the_log_of_the_candidates(n, temperature):
    z = torch.ones(n, 3)
    assert nt_xent(z, z, temperature)[0].item() == pytest.approx(math.log(2 * n - 1), rel=1e-4)


def test_accuracy_counts_anchors_whose_other_view_is_nearest():
    z1, z2 = torch.eye(4), torch.eye(4)
    assert nt_xent(z1, z2, 0.1)[1].item() == 1
    assert nt_xent(z1, z2.roll(1, 0), 0.1)[1].item() == 0


def test_training_separates_a_small_batch():
    method = load_method("simclr", TinyConvNet())
    losses = descend(method, [images(8), images(8) + 0.1 * images(8, seed=1)], 25)
    assert losses[-1] < 0.7 * losses[0]


def test_every_trained_parameter_gets_a_gradient():
    method = load_method("simclr", TinyConvNet())
    method([images(4), images(4, seed=1)], 0)["loss"].backward()
    assert all((p.grad is not None and p.grad.abs().sum() > 0) for p in method.parameters() if p.requires_grad)
    assert [name for name, p in method.named_parameters() if not p.requires_grad] == ["projector.4.bias"]


def test_both_views_share_the_encoders_batch():
    """Both views go through the encoder together, as in google-research/simclr: BatchNorm sees 2N images once."""
    method = load_method("simclr", TinyConvNet())
    method([images(4), images(4, seed=1)], 0)
    assert method.encoder.net[1].num_batches_tracked == 1


def test_authors_loss_is_the_sum_of_the_two_directions():
    views = [images(4), images(4, seed=1)]
    method = load_method("simclr", TinyConvNet())
    doubled = SimCLR(method.encoder, SimCLRSettings(sum_directions=True))
    doubled.projector = method.projector
    assert doubled(views, 0)["loss"].item() == pytest.approx(2 * method(views, 0)["loss"].item(), rel=1e-6)


def test_projector_and_augmentation_are_the_papers():
    method = load_method("simclr", TinyConvNet())
    kinds = [type(layer) for layer in method.projector]
    assert kinds == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear, nn.BatchNorm1d]
    assert method.projector[0].bias is None
    assert method.projector[3].out_features == 128
    first, second = SimCLR.augmentation(224, SimCLRSettings())
    assert first == second
    assert first.jitter == (0.8, 0.8, 0.8, 0.2)
    assert SimCLR.augmentation(32, SimCLRSettings(jitter_strength=0.5))[0].jitter == (0.4, 0.4, 0.4, 0.1)
