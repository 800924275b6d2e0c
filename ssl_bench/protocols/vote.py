"""The weighted vote of the nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CHUNK = 2**19  # scores (queries x classes) in flight: stay in the processor's caches


class Votes(NamedTuple):
    """For one number of neighbours, (M,) each: the class that wins, its share of all votes, and the place of the true
    class in the order of scores (0: it won; ``classes``: nobody voted for it)."""

    prediction: np.ndarray
    share: np.ndarray
    place: np.ndarray


def vote(
    similarity: np.ndarray,
    labels: np.ndarray,
    truth: np.ndarray,
    ks: Sequence[int],
    temperature: float,
    classes: int,
) -> dict[int, Votes]:
    """``similarity`` and ``labels`` (M, K) of the neighbours, nearest first; ``truth`` (M,); every k <= K.

    score_c(x) = sum over the k nearest i of exp(f_i . f_x / T) [y_i = c]        (Wu et al. 2018, section 3.4; DINO)

    Of classes with equal scores the one with the nearest neighbour comes first, and classes without a neighbour come
    nowhere: so the result depends neither on the number of classes nor on a device's way of sorting.
    """
    found = {k: Votes(np.empty(len(truth), np.int64), np.empty(len(truth)), np.empty(len(truth), np.int64)) for k in ks}
    step = max(1, CHUNK // classes)
    for start in range(0, len(truth), step):
        part = slice(start, start + step)
        for k, votes in _vote_chunk(similarity[part], labels[part], truth[part], sorted(ks), temperature, classes):
            for array, values in zip(found[k], votes, strict=True):
                array[part] = values
    return found


def _vote_chunk(
    similarity: np.ndarray, labels: np.ndarray, truth: np.ndarray, ks: Sequence[int], temperature: float, classes: int
) -> list[tuple[int, Votes]]:
    """The votes for each of the ascending ``ks``; each adds its further neighbours to the scores of the one before."""
    rows, rank = len(truth), np.arange(labels.shape[1])
    # Divided by the largest weight, which changes no share and no order: nothing overflows, however small T is.
    weights = np.exp((similarity - similarity[:, :1]) / np.float32(temperature)).astype(np.float64)
    cells = np.arange(rows)[:, None] * classes + labels
    first = np.full(rows * classes, len(rank))  # rank of each class's nearest neighbour
    np.minimum.at(first, cells.ravel(), np.tile(rank, rows))
    leads = first[cells] == rank
    own = labels == truth[:, None]
    own_rank = np.where(own.any(axis=1), own.argmax(axis=1), len(rank))
    scores, found, done = np.zeros(rows * classes), [], 0
    for k in ks:
        np.add.at(scores, cells[:, done:k].ravel(), weights[:, done:k].ravel())
        score = scores[cells[:, :k]]  # of each neighbour's class
        best = score.argmax(axis=1)[:, None]  # the first, hence nearest, of equal ones
        mine = scores[np.arange(rows) * classes + truth][:, None]
        before = (score > mine) | ((score == mine) & (rank[:k] < own_rank[:, None]))
        place = np.where(own_rank < k, (before & leads[:, :k]).sum(axis=1), classes)
        share = np.take_along_axis(score, best, 1)[:, 0] / weights[:, :k].sum(axis=1)
        found.append((k, Votes(np.take_along_axis(labels, best, 1)[:, 0], share, place)))
        done = k
    return found
