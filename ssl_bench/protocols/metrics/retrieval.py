"""Retrieval: average precision of a ranked list by the trapezoid rule, and precision after k places.

With r_j (from 0) the rank of the j-th (from 0) of n positives, junk taken out of the list::

    AP = 1/n sum over j of (j / r_j + (j + 1) / (r_j + 1)) / 2        where j / r_j is 1 at r_j = 0
    P@k = (number of positives among the first k') / k',  k' = min(k, place of the last positive, from 1)

Sources: filipradenovic/revisitop (evaluate.py), which is also what facebookresearch/dino uses; the rule is that of the
Holidays package, and of DINO's Copydays script.
"""

from __future__ import annotations

import numpy as np


def ranks_of(order: np.ndarray, positive: np.ndarray, junk: np.ndarray | None = None) -> np.ndarray:
    """Rising ranks (from 0) of the positives. ``order``: (n,) positions in the database, best first, all of it or its
    beginning; ``positive``, ``junk``: (N,) bool over the database; junk takes no place in the list."""
    if junk is not None:
        order = order[~junk[order]]
    return np.flatnonzero(positive[order])


def trapezoid_ap(ranks: np.ndarray, positives: int) -> float:
    """AP in [0, 1]. ``ranks``: those found, rising; ``positives``: how many there are to find. NaN where there are none."""
    if positives == 0:
        return float("nan")
    found = np.arange(len(ranks))
    before = np.where(ranks == 0, 1.0, found / np.maximum(ranks, 1))
    return float(((before + (found + 1) / (ranks + 1)) / 2).sum() / positives)


def precision_at(ranks: np.ndarray, k: int) -> float:
    """P@k in [0, 1] of the rising ranks of all positives; NaN where there are none."""
    if len(ranks) == 0:
        return float("nan")
    places = min(k, int(ranks[-1]) + 1)
    return float((ranks < places).sum() / places)
