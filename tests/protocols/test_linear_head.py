"""The engine of the authors' linear recipes, on tensors."""

import math

import numpy as np
import pytest
import torch
from conformance.golden_features import golden_features
from torch import nn

from ssl_bench.protocols.linear_head import HeadTraining, learning_rate, logits_of, make_head, train_head
from ssl_bench.protocols.linear_recipes import RECIPES


def mae_probe(batch, epochs, warmup, blr, dtype=torch.float32):
    """The reference's section 16.3: the head after training, and its mean test loss over batches of 100, acc1, acc5."""
    golden = golden_features(0, 10, 16, 512, 230, 2)
    x, y = torch.from_numpy(golden.train_x).to(dtype), torch.from_numpy(golden.train_y)
    recipe = RECIPES["mae"].changed(epochs=epochs, warmup_epochs=warmup)
    head = make_head(16, 10, recipe, torch.Generator()).to(dtype)
    start = 0.01 * np.random.RandomState(123).standard_normal((10, 16))
    with torch.no_grad():
        head[1].weight.copy_(torch.from_numpy(start))
    steps = 512 // batch
    batches = [(x[at : at + batch], y[at : at + batch]) for at in range(0, steps * batch, batch)]
    train_head(head, recipe, blr * batch / 256, lambda epoch: batches, steps)
    test_x, test_y = torch.from_numpy(golden.test_x).to(dtype), torch.from_numpy(golden.test_y)
    logits = logits_of(head, test_x, rows=100)
    parts = zip(logits.split(100), test_y.split(100), strict=True)
    loss = np.mean([nn.functional.cross_entropy(*part).item() for part in parts])
    order = logits.argsort(1, descending=True)
    right = order[:, :5] == test_y[:, None]
    return head, loss, 100 * right[:, 0].double().mean().item(), 100 * right.any(1).double().mean().item()


@pytest.mark.parametrize(
    ("batch", "epochs", "warmup", "loss", "acc1", "acc5", "weight", "bias"),
    [
        (128, 5, 1, 2.303893, 9.565217, 47.826087, 0.137108, 0.006567),
        (256, 5, 1, 2.304219, 10.434783, 50.0, 0.137116, 0.004619),
        (128, 20, 2, 2.302902, 7.826087, 47.826087, 0.136971, 0.022928),
    ],
)
def test_golden_values_of_mae(batch, epochs, warmup, loss, acc1, acc5, weight, bias):
    """The official training loop, LARS and schedule at blr 0.1."""
    head, *found = mae_probe(batch, epochs, warmup, 0.1)
    assert found == [pytest.approx(loss, abs=2e-6), pytest.approx(acc1, abs=1e-5), pytest.approx(acc5, abs=1e-5)]
    assert head[1].weight.norm().item() == pytest.approx(weight, abs=2e-6)
    assert head[1].bias.norm().item() == pytest.approx(bias, abs=2e-6)
    if (batch, epochs) == (128, 5):
        assert head[0].running_mean.norm().item() == pytest.approx(0.807845, abs=2e-6)
        assert head[0].running_var.norm().item() == pytest.approx(17.837923, rel=1e-6)


def test_golden_values_of_mae_at_a_wild_learning_rate():
    """blr 100, a rate of 50: rounding is amplified so much that a change of the start by 1e-6 moves the float32 result
    by up to 10 % (loss 5.04 to 5.49, bias norm 24 to 32), and so does the number of threads. In float64 it is stable."""
    head, loss, acc1, acc5 = mae_probe(128, 20, 2, 100, torch.float64)
    assert loss == pytest.approx(5.115036, rel=0.1)
    assert acc1 == pytest.approx(56.521739, abs=3)
    assert acc5 == pytest.approx(93.478261, abs=3)
    assert head[1].weight.norm().item() == pytest.approx(45.702656, rel=0.1)
    assert head[1].bias.norm().item() == pytest.approx(26.187460, rel=0.1)


def data():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(20, 6, generator=generator), torch.arange(20) % 3


def by_hand(recipe, lr, epochs):
    """A loop for linear recipes as one would write it from the paper."""
    x, y = data()
    head = make_head(6, 3, recipe, torch.Generator().manual_seed(1))
    w, b = head[-1].weight.detach().clone().double(), head[-1].bias.detach().clone().double()
    speed = [torch.zeros_like(w), torch.zeros_like(b)]
    for epoch in range(epochs):
        if recipe.schedule == "steps":
            rate = lr * 0.1 ** sum(epoch >= m for m in recipe.milestones)
        else:
            rate = lr * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
        for at in (0, 10):
            xb, yb = x[at : at + 10].double(), y[at : at + 10]
            p = (xb @ w.T + b).softmax(1) - nn.functional.one_hot(yb, 3)
            for i, (value, g) in enumerate(((w, p.T @ xb / 10), (b, p.mean(0)))):
                if recipe.optimizer == "larc" and value.norm() > 0:
                    g = g * 0.001 * value.norm() / (g.norm() + 1e-8)
                g = g + recipe.weight_decay * value
                speed[i] = 0.9 * speed[i] + g
                value -= rate * speed[i]
    return w, b


@pytest.mark.parametrize("name", ["dino", "moco", "mocov3", "swav", "barlow", "simsiam"])
def test_recipes_against_loops_written_by_hand(name):
    recipe = RECIPES[name].for_epochs(5)
    x, y = data()
    head = make_head(6, 3, recipe, torch.Generator().manual_seed(1))
    train_head(head, recipe, 0.3, lambda epoch: [(x[:10], y[:10]), (x[10:], y[10:])], 2)
    w, b = by_hand(recipe, 0.3, 5)
    torch.testing.assert_close(head[-1].weight.double(), w, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(head[-1].bias.double(), b, rtol=1e-4, atol=1e-6)


def test_simclr_is_nesterov_with_a_cosine_over_iterations():
    recipe = RECIPES["simclr"].for_epochs(3)
    x, y = data()
    head = make_head(6, 3, recipe, torch.Generator().manual_seed(1))
    layer = nn.Linear(6, 3)
    layer.load_state_dict(head[-1].state_dict())
    optimizer = torch.optim.SGD(layer.parameters(), 0.3, momentum=0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6)
    train_head(head, recipe, 0.3, lambda epoch: [(x[:10], y[:10]), (x[10:], y[10:])], 2)
    for _ in range(3):
        for at in (0, 10):
            optimizer.zero_grad()
            nn.functional.cross_entropy(layer(x[at : at + 10]), y[at : at + 10]).backward()
            optimizer.step()
            schedule.step()
    torch.testing.assert_close(head[-1].weight, layer.weight)


def test_mae_head_starts_as_the_paper_says():
    head = make_head(400, 300, RECIPES["mae"], torch.Generator().manual_seed(0))
    norm, linear = head
    assert isinstance(norm, nn.BatchNorm1d)
    assert (norm.eps, norm.affine) == (1e-6, False)
    assert linear.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert linear.bias.abs().max() == 0
    assert make_head(4, 2, RECIPES["moco"], torch.Generator()).__len__() == 1


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_schedules_start_and_end_as_they_should(name):
    recipe = RECIPES[name]
    first = learning_rate(recipe, 1.0, 0, 0, 10)
    last = learning_rate(recipe, 1.0, recipe.epochs - 1, 9, 10)
    assert first == (0.0 if name == "mae" else 1.0)
    assert last < 0.02
    rates = [learning_rate(recipe, 1.0, epoch, step, 10) for epoch in range(recipe.epochs) for step in range(10)]
    assert max(rates) == pytest.approx(1.0)
    if recipe.schedule != "cosine_step":
        assert len(set(rates)) <= recipe.epochs


def test_another_length_keeps_the_shares():
    half = RECIPES["moco"].for_epochs(50)
    assert half.milestones == (30, 40)
    assert RECIPES["mae"].changed(epochs=45).warmup_epochs == 5
    assert RECIPES["dino"].changed(epochs=None, lr=None, batch_size=8).batch_size == 8


def test_several_heads_on_the_same_batches_are_what_each_is_alone():
    recipe = RECIPES["dino"].for_epochs(3)
    x, y = data()

    def heads():
        return [make_head(6, 3, recipe, torch.Generator().manual_seed(1)) for _ in range(2)]

    together, alone = HeadTraining(heads(), recipe, [0.1, 1.0]), heads()
    for _ in range(3):
        together.train_epoch([(x, y)], 1)
    for head, lr, other in zip(alone, (0.1, 1.0), together.heads, strict=True):
        train_head(head, recipe, lr, lambda epoch: [(x, y)], 1)
        assert torch.equal(head[-1].weight, other[-1].weight)


def test_state_continues_exactly():
    recipe = RECIPES["mae"].for_epochs(4)
    x, y = data()

    def training():
        return HeadTraining([make_head(6, 3, recipe, torch.Generator().manual_seed(1))], recipe, [3.0])

    whole, first, second = training(), training(), training()
    for part in (whole, first):
        for _ in range(2):
            part.train_epoch([(x, y)], 1)
    second.load_state_dict(first.state_dict())
    for part in (whole, second):
        losses = [part.train_epoch([(x, y)], 1) for _ in range(2)]
    assert second.epoch == 4
    assert torch.equal(whole.heads[0][-1].weight, second.heads[0][-1].weight)
    assert losses[-1][0] < 1.2
