"""Schedules: pure functions of the time ``t``, in any unit (epochs, fractions of them, iterations) that ``total`` shares."""

from __future__ import annotations

import math
from collections.abc import Sequence


def cosine(t: float, total: float, base: float, final: float = 0.0) -> float:
    """Half a cosine from ``base`` at t = 0 to ``final`` at t = total and after (Loshchilov and Hutter 2017, eq. 5)::

    final + (base - final) (1 + cos(pi t / total)) / 2
    """
    part = min(max(t / total, 0.0), 1.0) if total > 0 else 1.0
    return final + (base - final) * (1 + math.cos(math.pi * part)) / 2


def warmup_cosine(
    t: float, total: float, base: float, warmup: float = 0.0, final: float = 0.0, start: float = 0.0
) -> float:
    """Linear from ``start`` at t = 0 to ``base`` at t = warmup, then half a cosine to ``final`` at t = total.

    As facebookresearch/mae ``util/lr_sched.py`` and facebookresearch/moco-v3, with a fractional epoch t. A ``warmup`` of 0
    is the plain cosine.
    """
    if t < warmup:
        return start + (base - start) * t / warmup
    return cosine(t - warmup, total - warmup, base, final)


def steps(t: float, base: float, milestones: Sequence[float], factor: float = 0.1) -> float:
    """``base`` times ``factor`` once for every milestone that t has reached."""
    return base * factor ** sum(t >= milestone for milestone in milestones)
