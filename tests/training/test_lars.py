import timm.optim
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_bench.training.lars import Lars


def naive(p, gradients, lr, wd, m, eta):
    """The update of the docstring on numpy-like scalars, one tensor at a time."""
    mu = torch.zeros_like(p)
    for g in gradients:
        if p.ndim > 1:
            g = g + wd * p
            norm_p, norm_g = p.pow(2).sum().sqrt(), g.pow(2).sum().sqrt()
            g = g * (eta * norm_p / norm_g if norm_p > 0 and norm_g > 0 else 1.0)
        mu = m * mu + g
        p = p - lr * mu
    return p


def run(optimizer_of, start, gradients):
    parameter = torch.nn.Parameter(start.clone())
    optimizer = optimizer_of([parameter])
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
        assert torch.equal(parameter.grad, gradient)
    return parameter.detach()


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 1000),
    st.sampled_from([(3,), (4, 5), (2, 3, 3)]),
    st.sampled_from([0.0, 1e-6, 0.3]),
    st.sampled_from([0.0, 0.9]),
)
def test_agrees_with_naive_restatement(seed, shape, wd, momentum):
    generator = torch.Generator().manual_seed(seed)
    start, *gradients = torch.randn(5, *shape, generator=generator, dtype=torch.float64)
    ours = run(lambda p: Lars(p, 2.0, wd, momentum, 0.01), start, gradients)
    torch.testing.assert_close(ours, naive(start, gradients, 2.0, wd, momentum, 0.01))


def test_zero_norms_mean_no_adaptation():
    zeros, ones = torch.zeros(2, 2), torch.ones(2, 2)
    assert torch.equal(run(lambda p: Lars(p, 0.5), zeros, [ones]), -0.5 * ones)
    assert torch.equal(run(lambda p: Lars(p, 0.5), ones, [zeros]), ones)


def test_agrees_with_timm_without_weight_decay():
    generator = torch.Generator().manual_seed(0)
    start, *gradients = torch.randn(6, 4, 7, generator=generator)
    ours = run(lambda p: Lars(p, 3.0), start, gradients)
    theirs = run(lambda p: timm.optim.Lars(p, 3.0, momentum=0.9, eps=0.0, always_adapt=True), start, gradients)
    torch.testing.assert_close(ours, theirs)


def test_state_dict_continues_exactly():
    generator = torch.Generator().manual_seed(0)
    start, *gradients = torch.randn(6, 4, 7, generator=generator)
    whole = run(lambda p: Lars(p, 3.0), start, gradients)
    first = torch.nn.Parameter(start.clone())
    optimizer = Lars([first], 3.0)
    for gradient in gradients[:2]:
        first.grad = gradient
        optimizer.step()
    second = torch.nn.Parameter(first.detach().clone())
    resumed = Lars([second], 1.0)
    resumed.load_state_dict(optimizer.state_dict())
    for gradient in gradients[2:]:
        second.grad = gradient
        resumed.step()
    assert torch.equal(second.detach(), whole)
