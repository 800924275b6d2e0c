"""Random draws that follow from numbers alone, also of code that asks the global generators, as timm's transforms do."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def drawn_from(*numbers: int) -> Iterator[None]:
    """Whatever Python's, NumPy's and torch's CPU generators give inside depends on ``numbers`` only; afterwards they go on
    as if nothing had been drawn."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    state = np.random.SeedSequence(numbers).generate_state(3, np.uint32)
    random.seed(int(state[0]))
    np.random.seed(int(state[1]))
    torch.default_generator.manual_seed(int(state[2]))
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
