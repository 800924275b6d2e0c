"""The loop for protocols that train: schedules, resumption, accumulation, the moving average."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ssl_bench.cards import OptimizerCard
from ssl_bench.compute import Compute
from ssl_bench.errors import TrainingError
from ssl_bench.training import supervised
from ssl_bench.training.saved import Saved
from ssl_bench.training.supervised import Schedule, Training, fit

SGD = OptimizerCard(name="sgd", lr=0.1, weight_decay=0.01)


class Toy:
    """Linear regression, batches of ``size`` of 24 samples, in another order every epoch."""

    def __init__(self, size: int = 4, stop_at: int | None = None) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x, self.y = torch.randn(24, 3, generator=generator), torch.randn(24, 1, generator=generator)
        self.size, self.stop_at, self.seen = size, stop_at, 0

    def __len__(self) -> int:
        return 24 // self.size

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        order = torch.randperm(24, generator=torch.Generator().manual_seed(epoch))
        for at in range(start, len(self)):
            rows = order[at * self.size : (at + 1) * self.size]
            self.seen += 1
            if self.seen == self.stop_at:
                raise KeyboardInterrupt
            yield self.x[rows], self.y[rows]


def loss(module: nn.Module, batch: Any) -> dict[str, torch.Tensor]:
    return {"loss": F.mse_loss(module(batch[0]), batch[1])}


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.2), nn.Linear(5, 1))


def saved(tmp_path: Path, compute: Compute | None = None) -> Saved:
    return Saved(compute or Compute(cache=tmp_path), "toy", {"what": "toy"})


def test_the_schedule_is_the_formula() -> None:
    cosine = Schedule(100, warmup=10, warmup_from=0.1, final=0.01)
    assert cosine.at(5) == pytest.approx(0.55)
    assert cosine.at(10) == 1.0
    assert cosine.at(55) == pytest.approx(0.01 + 0.99 * (1 + math.cos(math.pi / 2)) / 2)
    assert Schedule(100, curve="step", milestones=(70, 90)).at(89) == pytest.approx(0.1)
    assert Schedule(100, curve="step", milestones=(70, 90)).at(90) == pytest.approx(0.01)
    assert Schedule(100, curve="poly", power=0.9).at(25) == pytest.approx(0.75**0.9)
    assert Schedule(100, warmup=50, curve="constant").at(25) == 0.5


def test_schedules_by_epochs() -> None:
    """``hold``: the rate of an epoch's first step throughout. ``through``: the curve runs under the warm-up."""
    held = Schedule(100, curve="cosine", hold=10)
    assert held.at(39) == held.at(30) == pytest.approx((1 + math.cos(math.pi * 0.3)) / 2)
    hidden = Schedule(100, warmup=20, hold=10, through=True, final=0.1)
    assert [hidden.at(step) for step in (0, 9, 15)] == [0.0, 0.0, 0.5]
    assert hidden.at(25) == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi * 0.2)) / 2)


def test_a_plain_loop_gives_the_same_weights(tmp_path: Path) -> None:
    """torch's SGD written out: decay on matrices only, the rate of the schedule before every step."""
    module, naive = network(), network()
    schedule = Schedule(8, warmup=2)
    fit(module, Toy(), loss, Training(SGD, schedule), Compute(cache=tmp_path), saved(tmp_path), "toy")
    velocity = {name: torch.zeros_like(p) for name, p in naive.named_parameters()}
    naive.train()
    for step in range(8):
        torch.manual_seed(supervised.generator("supervised", 0, step).initial_seed())
        x, y = list(Toy().epoch(step // 6))[step % 6]
        naive.zero_grad()
        loss(naive, (x, y))["loss"].backward()
        with torch.no_grad():
            for name, p in naive.named_parameters():
                assert p.grad is not None
                velocity[name] = 0.9 * velocity[name] + p.grad + (0.01 * p if p.ndim > 1 else 0)
                p -= 0.1 * schedule.at(step) * velocity[name]
    for ours, theirs in zip(module.parameters(), naive.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("ema", [None, 0.9])
def test_an_interrupted_training_ends_with_the_same_bits(
    ema: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised, "SAVE_EVERY", 2)
    training = Training(OptimizerCard(name="adamw", lr=0.01), Schedule(15), ema=ema)
    compute = Compute(cache=tmp_path / "a")
    whole = fit(network(), Toy(), loss, training, compute, saved(tmp_path, compute), "toy")
    compute = Compute(cache=tmp_path / "b")
    with pytest.raises(KeyboardInterrupt):
        fit(network(), Toy(stop_at=10), loss, training, compute, saved(tmp_path, compute), "toy")
    other = Toy()
    resumed = fit(network(), other, loss, training, compute, saved(tmp_path, compute), "toy")
    assert other.seen == 7  # steps 8 to 14
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name])
    assert not resumed.training


def test_accumulated_batches_are_one_batch(tmp_path: Path) -> None:
    straight = nn.Linear(3, 1)
    halves = nn.Linear(3, 1)
    halves.load_state_dict(straight.state_dict())
    one, two = Compute(cache=tmp_path / "1"), Compute(cache=tmp_path / "2")
    fit(straight, Toy(8), loss, Training(SGD, Schedule(6)), one, saved(tmp_path, one), "toy")
    fit(halves, Toy(4), loss, Training(SGD, Schedule(6), accumulate=2), two, saved(tmp_path, two), "toy")
    torch.testing.assert_close(straight.weight, halves.weight)


def test_groups_have_rates_of_their_own(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 1), nn.Linear(1, 1))
    before = [p.detach().clone() for p in module.parameters()]
    groups = [
        {"params": list(module[0].parameters()), "decay": False, "weight_decay": 0.0, "lr_scale": 0.0},
        {"params": list(module[1].parameters()), "decay": True, "lr_scale": 2.0},
    ]
    fit(module, Toy(), loss, Training(SGD, Schedule(2)), Compute(cache=tmp_path), saved(tmp_path), "toy", groups)
    after = list(module.parameters())
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[2], after[2])


def test_the_moving_average(tmp_path: Path) -> None:
    module = nn.Linear(3, 1)
    start = module.weight.detach().clone()
    training = Training(SGD, Schedule(1), ema=0.75)
    average = fit(module, Toy(), loss, training, Compute(cache=tmp_path), saved(tmp_path), "toy")
    assert isinstance(average, nn.Linear)
    torch.testing.assert_close(average.weight, 0.75 * start + 0.25 * module.weight)


def test_a_loss_that_is_not_finite_stops(tmp_path: Path) -> None:
    training = Training(OptimizerCard(name="sgd", lr=1e30), Schedule(20))
    with pytest.raises(TrainingError, match="Lower the learning rate"):
        fit(network(), Toy(), loss, training, Compute(cache=tmp_path), saved(tmp_path), "toy")
