"""The k nearest train vectors by cosine similarity, exact and the same from every search backend.

The train vectors are taken in blocks, so that memory stays bounded however many there are. In each block a backend
proposes candidates; each is scored again by the same dot product (float32, a function of the two vectors alone), and
the running list of the best is kept as one sorted integer per neighbour. A query whose list the backend's bound does
not prove goes to the next, more exact search.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import faiss
import numpy as np

from ssl_bench.errors import FeatureError
from ssl_bench.progress import Progress, Silent
from ssl_bench.protocols.search import CHUNK_BYTES, Candidates, Search, dot_error

BLOCK_BYTES = 128 * 2**20  # normalised train vectors held at once
QUERIES = 8192  # test vectors searched together; a multiple of faiss's own 4096
MARGIN = 16  # further candidates, so that rounding leaves few queries in doubt
NOBODY = (0x7F800000 << 32) | (2**32 - 1)  # key of similarity -infinity: comes last


class Neighbours(NamedTuple):
    """(M, k) similarity in [-1, 1] float32, descending, and train row int64; of equally similar rows the lower first."""

    similarity: np.ndarray
    rows: np.ndarray


def nearest(
    train: np.ndarray, test: np.ndarray, k: int, searches: Sequence[Search], progress: Progress | None = None
) -> Neighbours:
    """The ``k`` <= N rows of ``train`` (N, D) nearest to each row of ``test`` (M, D); neither need be normalised.

    ``searches``: fastest first; what the last one leaves in doubt is searched once more, for every row in reach.
    """
    keys = np.full((len(test), k), NOBODY)
    step = max(1, BLOCK_BYTES // (4 * train.shape[1]))
    with (progress or Silent()).bar("k-NN search", len(test) * -(-len(train) // step)) as advance:
        for first in range(0, len(train), step):
            bank = unit_rows(train[first : first + step], "train", first)
            for start in range(0, len(test), QUERIES):
                part = slice(start, start + QUERIES)
                queries = unit_rows(test[part], "test", start)
                keys[part] = _search_block(queries, bank, first, keys[part], searches)
                advance(len(queries))
    return _decoded(keys)


def unit_rows(x: np.ndarray, name: str = "given", first: int = 0) -> np.ndarray:
    """(N, D) -> float32 rows of length 1; a row without a direction is an error that names it (counted from ``first``)."""
    x = np.ascontiguousarray(x, dtype=np.float32)
    length = np.sqrt(np.einsum("nd,nd->n", x, x, dtype=np.float64))
    with np.errstate(over="ignore"):
        divisor = length.astype(np.float32)
    wrong = np.flatnonzero(~((divisor > 0) & np.isfinite(divisor)))
    if len(wrong):
        row = int(wrong[0])
        raise FeatureError(
            f"{len(wrong)} {name} features have no direction; the first is row {first + row} (length {length[row]:g}).",
            "Cosine similarity needs finite vectors other than zero. Has the model collapsed, or is an image blank?",
        )
    unit: np.ndarray = x / divisor[:, None]
    return unit


def _search_block(
    queries: np.ndarray, bank: np.ndarray, first: int, known: np.ndarray, searches: Sequence[Search]
) -> np.ndarray:
    """``known`` (M, k) keys of earlier blocks, with those of this block (its rows start at ``first``) merged in."""
    k = known.shape[1]
    count = min(len(bank), k + MARGIN)
    merged, doubtful = known.copy(), np.arange(len(queries))
    for search in searches:
        asked = queries if len(doubtful) == len(queries) else queries[doubtful]
        found = search.candidates(asked, bank, count)
        merged[doubtful] = _merge(asked, bank, first, known[doubtful], found.rows)
        doubtful = doubtful[_unproved(merged[doubtful], found)]
        if not len(doubtful):
            return merged
    step = max(1, CHUNK_BYTES // (16 * len(bank)))
    for start in range(0, len(doubtful), step):
        some = doubtful[start : start + step]
        near = _within_reach(queries[some], bank, merged[some])
        merged[some] = _merge(queries[some], bank, first, known[some], near)
    return merged


def _within_reach(queries: np.ndarray, bank: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """All rows of ``bank`` that may be as similar as the k-th neighbour known so far, however many: (M, most), the rest -1."""
    bound = _decoded(keys[:, -1:]).similarity - dot_error(bank.shape[1])
    query, row = np.nonzero(queries @ bank.T >= bound)
    counts = np.bincount(query, minlength=len(queries))
    near = np.full((len(queries), counts.max()), -1)
    near[query, np.arange(len(query)) - np.repeat(counts.cumsum() - counts, counts)] = row
    return near


def _unproved(keys: np.ndarray, found: Candidates) -> np.ndarray:
    """Queries for which a row that was left out may be as similar as the k-th neighbour."""
    kth = _decoded(keys[:, -1:]).similarity[:, 0]
    doubt: np.ndarray = np.isfinite(found.rest) & (found.rest >= kth)
    return doubt


def _merge(queries: np.ndarray, bank: np.ndarray, first: int, known: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Score the candidates ``index`` (M, K) and keep the k best of them and ``known`` (M, k); an index of -1 is nobody."""
    found = np.where(index < 0, NOBODY, _keys(dot_products(queries, bank, index), index + first))
    keys = np.concatenate([known, found], axis=1)
    keys.sort(axis=1)
    return keys[:, : known.shape[1]]


def dot_products(queries: np.ndarray, bank: np.ndarray, index: np.ndarray) -> np.ndarray:
    """queries[m] . bank[index[m, j]], (M, K) float32: the order of summation depends on D only, never on the
    place. An index of -1 gives -infinity."""
    index = np.ascontiguousarray(index, dtype=np.int64)
    out = np.empty(index.shape, dtype=np.float32)
    pointers = [faiss.swig_ptr(array) for array in (out, queries, bank, index)]
    faiss.fvec_inner_products_by_idx(*pointers, queries.shape[1], *index.shape)  # type: ignore[attr-defined]
    return out


def _keys(similarity: np.ndarray, index: np.ndarray) -> np.ndarray:
    """One int64 that sorts by similarity descending, then index ascending: ~(ordered bits of the float) | index.

    The bits of a float, read as an integer, are in its order where it is positive; flipping the others below the sign
    puts them in order too. Adding 0 turns -0 into 0.
    """
    bits = (np.asarray(similarity, dtype=np.float32) + np.float32(0)).view(np.int32).astype(np.int64)
    ordered = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    keys: np.ndarray = (~ordered << 32) | index
    return keys


def _decoded(keys: np.ndarray) -> Neighbours:
    """The inverse of :func:`_keys`."""
    ordered = ~(keys >> 32)
    bits = np.where(ordered < 0, ordered ^ 0x7FFFFFFF, ordered).astype(np.int32)
    return Neighbours(bits.view(np.float32), keys & 0xFFFFFFFF)
