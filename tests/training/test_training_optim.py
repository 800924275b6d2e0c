"""Parameter groups, optimisers, clipping and schedules against torch, timm and restatements."""

from __future__ import annotations

import math

import numpy as np
import pytest
import timm.optim
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from training_toys import toy_recipe

from ssl_bench.cards import OptimizerCard
from ssl_bench.errors import TrainingError
from ssl_bench.training.optim import build_optimizer, clip_gradients, parameter_groups, set_schedule
from ssl_bench.training.plan import Plan


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2), nn.Linear(2, 2))
    net[4].requires_grad_(False)
    return net


def test_biases_and_norms_do_not_decay_and_frozen_parameters_are_left_out() -> None:
    net = small_net()
    decayed, plain = parameter_groups(net)
    assert [id(p) for p in decayed["params"]] == [id(net[0].weight), id(net[3].weight)]
    expected = {id(net[0].bias), id(net[1].weight), id(net[1].bias), id(net[3].bias)}
    assert {id(p) for p in plain["params"]} == expected


def test_bias_of_two_dimensions_does_not_decay() -> None:
    module = nn.Module()
    module.bias = nn.Parameter(torch.zeros(3, 3))
    (group,) = parameter_groups(module)
    assert not group["decay"]


@pytest.mark.parametrize(
    ("fields", "reference"),
    [
        (
            {"name": "sgd", "momentum": 0.8, "nesterov": True},
            lambda g: torch.optim.SGD(g, momentum=0.8, nesterov=True),
        ),
        ({"name": "adamw", "betas": (0.9, 0.95), "eps": 1e-6}, lambda g: torch.optim.AdamW(g, betas=(0.9, 0.95), eps=1e-6)),
        ({"name": "lamb", "betas": (0.8, 0.9)}, lambda g: timm.optim.create_optimizer_v2(g, "lamb", betas=(0.8, 0.9), eps=1e-8, max_grad_norm=None)),
    ],
)  # fmt: skip
def test_optimiser_does_what_its_library_does_with_the_same_groups(fields: dict, reference: object) -> None:
    nets = [small_net(), small_net()]
    mine = build_optimizer(nets[0], OptimizerCard(lr=0.1, weight_decay=0.2, **fields))
    weights = [p for p in nets[1].parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in nets[1].parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": weights, "lr": 0.05, "weight_decay": 0.3}, {"params": others, "lr": 0.05, "weight_decay": 0.0}]
    other = reference(groups)  # type: ignore[operator]
    for step in range(3):
        set_schedule(mine, lr=0.05, weight_decay=0.3)
        for net, optimizer in zip(nets, (mine, other), strict=True):
            optimizer.zero_grad()
            torch.manual_seed(step)
            net(torch.randn(6, 3, 4, 4)).square().sum().backward()
            optimizer.step()
    for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_lars_gets_the_cards_numbers() -> None:
    card = OptimizerCard(name="lars", lr=0.3, momentum=0.7, trust_coefficient=0.02, weight_decay=1e-4)
    optimizer = build_optimizer(small_net(), card)
    group = optimizer.param_groups[0]
    assert type(optimizer).__name__ == "Lars"
    assert (group["lr"], group["momentum"], group["trust_coefficient"], group["weight_decay"]) == (0.3, 0.7, 0.02, 1e-4)
    assert optimizer.param_groups[1]["weight_decay"] == 0


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=4), min_size=1, max_size=4),
    st.floats(0.1, 10),
    st.sampled_from(["global", "per_tensor"]),
)
def test_clipping_scales_down_to_the_norm(gradients: list[list[float]], clip: float, mode: str) -> None:
    parameters = [nn.Parameter(torch.zeros(len(g))) for g in gradients] + [nn.Parameter(torch.zeros(2))]
    for parameter, gradient in zip(parameters, gradients, strict=False):
        parameter.grad = torch.tensor(gradient)
    clip_gradients(parameters, OptimizerCard(lr=1, clip=clip, clip_mode=mode))
    whole = math.sqrt(sum(x * x for gradient in gradients for x in gradient))
    for parameter, gradient in zip(parameters, gradients, strict=False):
        norm = whole if mode == "global" else float(np.linalg.norm(gradient))
        expected = np.array(gradient) * min(1.0, clip / (norm + 1e-6))
        np.testing.assert_allclose(parameter.grad.numpy(), expected, rtol=1e-5, atol=1e-6)
    assert parameters[-1].grad is None


def test_no_clip_leaves_gradients() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([1e6, 0.0])
    clip_gradients([parameter], OptimizerCard(lr=1))
    assert parameter.grad[0] == 1e6


def test_schedule_scales_by_the_whole_batch_warms_up_and_ends() -> None:
    recipe = toy_recipe(
        batch_size=64, accumulate=2, epochs=10, warmup_epochs=2, final_lr=0.001,
        optimizer={"lr": 0.1, "lr_batch": 256, "weight_decay": 0.04, "weight_decay_end": 0.4},
    )  # fmt: skip
    plan = Plan(recipe, images=1300, processes=2)
    assert (plan.batch, plan.steps_per_epoch, plan.total_steps) == (256, 5, 50)
    assert plan.lr(0) == 0
    assert plan.lr(5) == pytest.approx(0.05)
    assert plan.lr(10) == pytest.approx(0.1)
    assert plan.lr(30) == pytest.approx(0.001 + 0.099 / 2)
    assert plan.lr(50) == pytest.approx(0.001)
    assert [plan.weight_decay(t) for t in (0, 25, 50)] == pytest.approx([0.04, 0.22, 0.4])
    assert Plan(recipe, 2600, 4).lr(20 // 2) == pytest.approx(0.2)
    unscaled = toy_recipe(optimizer={"lr": 0.1, "lr_batch": None, "weight_decay": 0.1})
    assert Plan(unscaled, 100).lr(0) == 0.1
    assert Plan(unscaled, 100).weight_decay(7) == 0.1


def test_data_set_smaller_than_a_step_is_an_error() -> None:
    with pytest.raises(TrainingError, match="toys has 30 training images, and one step of recipe toy_small needs 32"):
        Plan(toy_recipe(batch_size=16, accumulate=2), 30)
    assert Plan(toy_recipe(batch_size=30), 30).steps_per_epoch == 1
