import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_bench.training.schedules import cosine, steps, warmup_cosine


def test_cosine_is_torchs():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10, eta_min=0.01)
    for epoch in range(10):
        assert cosine(epoch, 10, 0.3, 0.01) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_warmup_cosine_against_maes_numbers():
    # MAE lr_sched, LR 6.4, warm-up 10 of 90 epochs, evaluated by hand.
    assert warmup_cosine(0, 90, 6.4, 10) == 0.0
    assert warmup_cosine(2.5, 90, 6.4, 10) == pytest.approx(1.6)
    assert warmup_cosine(10, 90, 6.4, 10) == pytest.approx(6.4)
    assert warmup_cosine(50, 90, 6.4, 10) == pytest.approx(3.2)
    assert warmup_cosine(70, 90, 6.4, 10) == pytest.approx(6.4 * 0.5 * (1 - math.sqrt(0.5)))
    assert warmup_cosine(90, 90, 6.4, 10, final=0.1) == pytest.approx(0.1)


@settings(deadline=None, max_examples=50)
@given(st.floats(0.1, 100), st.floats(0, 0.9), st.floats(1e-4, 10), st.floats(0, 1))
def test_rises_then_falls_and_stays_within(total, share, base, low):
    values = [warmup_cosine(t, total, base, share * total, low * base) for t in np.linspace(0, total * 1.1, 60)]
    peak = int(np.argmax(values))
    assert all(a <= b + 1e-9 for a, b in itertools.pairwise(values[: peak + 1]))
    assert all(a >= b - 1e-9 for a, b in itertools.pairwise(values[peak:]))
    assert max(values) <= base * (1 + 1e-9)
    assert values[-1] == pytest.approx(low * base, abs=1e-9)


def test_warmup_as_long_as_everything_ends_at_final():
    assert warmup_cosine(5, 5, 1.0, 5, final=0.25) == 0.25


def test_steps_of_moco():
    assert [steps(epoch, 30, (60, 80)) for epoch in (0, 59, 60, 79, 80, 99)] == pytest.approx([30, 30, 3, 3, 0.3, 0.3])
