"""The grid of heads: every head is what an ordinary loop makes of it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_bench.protocols import grid
from ssl_bench.protocols.grid import Head, train_grid
from ssl_bench.protocols.heads import Normaliser, predict

LRS = (0.003, 0.1, 1.0)


def data(n=70, d=6, classes=4, seed=0):
    random = np.random.RandomState(seed)
    y = np.arange(n) % classes
    x = random.randn(classes, d)[y] + random.randn(n, d) * np.linspace(0.1, 3, d) + 1
    return x.astype(np.float32), y


def ordinary_loop(x, y, classes, lr, decay, epochs, batch_size, seed, momentum=0.9):
    """One head with torch's own layer, loss, optimiser and schedule."""
    generator = torch.Generator().manual_seed(seed)
    layer = torch.nn.Linear(x.shape[1], classes)
    with torch.no_grad():
        layer.weight.copy_(0.01 * torch.randn(classes, x.shape[1], generator=generator))
        layer.bias.zero_()
    optimizer = torch.optim.SGD(layer.parameters(), lr, momentum=momentum, weight_decay=decay)
    steps = epochs * -(-len(y) // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(y), generator=generator).split(batch_size):
            loss = torch.nn.functional.cross_entropy(layer(torch.from_numpy(x)[rows]), torch.from_numpy(y)[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return layer.weight.detach(), layer.bias.detach()


@settings(deadline=None, max_examples=15)
@given(
    st.integers(0, 50),
    st.sampled_from([16, 35, 200]),
    st.integers(1, 3),
    st.sampled_from([(0.0,), (0.0, 0.01)]),
    st.sampled_from([0.0, 0.9]),
)
def test_every_head_is_the_one_that_an_ordinary_loop_trains(seed, batch_size, epochs, decays, momentum):
    x, y = data(seed=seed)
    heads = [Head(lr, decay) for lr in LRS for decay in decays]
    trained = train_grid(
        x, y, 4, heads, epochs=epochs, batch_size=batch_size, normalisation="none", momentum=momentum, seed=seed
    )
    for i, head in enumerate(heads):
        weight, bias = ordinary_loop(x, y, 4, head.lr, head.weight_decay, epochs, batch_size, seed, momentum)
        torch.testing.assert_close(trained.weights[i], weight, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(trained.bias[i], bias, rtol=1e-3, atol=1e-4)


def test_groups_and_storage_do_not_change_a_head(monkeypatch):
    x, y = data()
    heads = [Head(lr) for lr in LRS]
    whole = train_grid(x, y, 4, heads, epochs=3, batch_size=16)
    monkeypatch.setattr(grid, "GROUP", 1)
    monkeypatch.setattr(grid._Batches, "LIMIT", 0)
    apart = train_grid(x, y, 4, heads, epochs=3, batch_size=16)
    torch.testing.assert_close(apart.weights, whole.weights)
    torch.testing.assert_close(apart.bias, whole.bias)


def test_a_head_that_diverges_touches_no_other():
    x, y = data()
    alone = train_grid(1e4 * x, y, 4, [Head(1e-9)], epochs=5, batch_size=16, normalisation="none")
    both = train_grid(1e4 * x, y, 4, [Head(1e38), Head(1e-9)], epochs=5, batch_size=16, normalisation="none")
    assert not both.weights[0].isfinite().all()
    torch.testing.assert_close(both.weights[1], alone.weights[0])
    (bad, loss), (good, _) = both.held_out(1e4 * x, y)
    assert (bad, loss) == (-1.0, float("inf"))
    assert 0 <= good <= 100


def test_batch_norm_is_torchs_in_evaluation_after_seeing_everything(monkeypatch):
    monkeypatch.setattr("ssl_bench.protocols.heads.ROWS", 7)
    x, _ = data()
    x[:, 0] = 3.0
    layer = torch.nn.BatchNorm1d(6, affine=False, eps=1e-6)
    expected = layer.train()(torch.from_numpy(x))
    ours = Normaliser.of(x, "batch_norm", torch.device("cpu"))(torch.from_numpy(x))
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
    assert ours[:, 0].abs().max() < 1e-3


def test_l2_gives_length_one_and_keeps_zero():
    x = np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32)
    normalised = Normaliser.of(x, "l2", torch.device("cpu"))(torch.from_numpy(x))
    torch.testing.assert_close(normalised, torch.tensor([[0.6, 0.8], [0.0, 0.0]]))


def test_scores_of_heads_against_torch(monkeypatch):
    monkeypatch.setattr("ssl_bench.protocols.heads.ROWS", 9)
    x, y = data(classes=7)
    heads = train_grid(x, y, 7, [Head(lr) for lr in LRS], epochs=2, batch_size=16)
    inputs = heads.normaliser(torch.from_numpy(x))
    for i, (top1, loss) in enumerate(heads.held_out(x, y)):
        logits = inputs @ heads.weights[i].T + heads.bias[i]
        assert top1 == pytest.approx(100 * (logits.argmax(1).numpy() == y).mean())
        assert loss == pytest.approx(torch.nn.functional.cross_entropy(logits, torch.from_numpy(y)).item(), rel=1e-5)
        found = predict(heads.only(i), x, y)
        np.testing.assert_array_equal(found.label, logits.argmax(1))
        np.testing.assert_allclose(found.score, logits.softmax(1).amax(1), rtol=1e-5)
        place = (logits > logits.gather(1, torch.from_numpy(y)[:, None])).sum(1)
        np.testing.assert_array_equal(found.in_top5, place < 5)
