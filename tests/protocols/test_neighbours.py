"""The nearest neighbours are exact and ordered, whatever proposes the candidates and however crowded the vectors are."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_bench.errors import FeatureError
from ssl_bench.protocols import neighbours, search
from ssl_bench.protocols.neighbours import dot_products, nearest, unit_rows
from ssl_bench.protocols.search import Candidates, FaissSearch, Search, TorchSearch, dot_error, top_columns

CPU = torch.device("cpu")
BACKENDS: dict[str, list[Search]] = {
    "faiss": [FaissSearch()],
    "torch": [TorchSearch(CPU)],
    "bf16": [TorchSearch(CPU, torch.bfloat16), FaissSearch()],
    "every row": [],
}


def crowd(seed: int, offset: float, count: int = 300, dim: int = 24) -> np.ndarray:
    """Vectors in a cone: the larger ``offset``, the closer are all similarities to 1."""
    return (np.random.default_rng(seed).normal(size=(count, dim)) + offset).astype(np.float32)


def ordered(train: np.ndarray, test: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """All dot products, then a stable sort: equal ones stay in the order of rows."""
    everyone = np.tile(np.arange(len(train)), (len(test), 1))
    similarity = dot_products(unit_rows(test), unit_rows(train), everyone)
    rows = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(similarity, rows, 1), rows


@pytest.mark.parametrize("backend", BACKENDS)
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), offset=st.sampled_from([0, 3, 30, 1000]), k=st.integers(1, 300))
def test_neighbours_are_those_of_a_stable_sort(backend: str, seed: int, offset: float, k: int) -> None:
    train, test = crowd(seed, offset), crowd(seed + 1, offset, 20)
    train[100:130] = train[:30]
    found, (similarity, rows) = nearest(train, test, k, BACKENDS[backend]), ordered(train, test, k)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.similarity, similarity)


@pytest.mark.parametrize("backend", BACKENDS)
def test_collapsed_vectors_come_in_the_order_of_rows(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK_BYTES", 4 * 8 * 70)
    same = np.ones((200, 8), dtype=np.float32)
    found = nearest(same, same[:50], 30, BACKENDS[backend])
    np.testing.assert_array_equal(found.rows, np.tile(np.arange(30), (50, 1)))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), offset=st.sampled_from([0, 1, 10]), dim=st.sampled_from([2, 33, 384]))
def test_no_row_left_out_exceeds_the_bound(seed: int, offset: float, dim: int) -> None:
    bank, queries = unit_rows(crowd(seed, offset, 90, dim)), unit_rows(crowd(seed + 1, offset, 10, dim))
    everyone = dot_products(queries, bank, np.tile(np.arange(90), (10, 1)))
    for backend in (FaissSearch(), TorchSearch(CPU), TorchSearch(CPU, torch.bfloat16)):
        found = backend.candidates(queries, bank, 12)
        left_out = everyone.copy()
        np.put_along_axis(left_out, found.rows, -2, axis=1)
        assert (left_out.max(axis=1) <= found.rest).all()
        assert np.isneginf(backend.candidates(queries, bank, 90).rest).all()


def test_a_low_matmul_precision_of_the_user_widens_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    bank, queries = unit_rows(crowd(0, 0)), unit_rows(crowd(1, 0, 5))
    usual = TorchSearch(CPU).candidates(queries, bank, 5).rest
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "high")
    assert (TorchSearch(CPU).candidates(queries, bank, 5).rest > usual + 2**-9).all()


def test_a_poor_proposal_is_noticed() -> None:
    class First:
        """Proposes the first rows, and says honestly that the others may be anything."""

        def candidates(self, queries: np.ndarray, bank: np.ndarray, count: int) -> Candidates:
            return Candidates(np.tile(np.arange(count), (len(queries), 1)), np.ones(len(queries), np.float32))

    train, test = crowd(0, 0), crowd(1, 0, 20)
    np.testing.assert_array_equal(nearest(train, test, 7, [First()]).rows, ordered(train, test, 7)[1])


@pytest.mark.parametrize("dim", [24, 384, 2048])
@pytest.mark.parametrize("offset", [0, 5])
def test_dot_products_stay_within_the_error_stated(dim: int, offset: float) -> None:
    bank, queries = unit_rows(crowd(0, offset, 200, dim)), unit_rows(crowd(1, offset, 50, dim))
    exact = queries.astype(np.float64) @ bank.T.astype(np.float64)
    ours = dot_products(queries, bank, np.tile(np.arange(200), (50, 1)))
    assert np.abs(ours - exact).max() < dot_error(dim) / 2
    assert np.abs((torch.from_numpy(queries) @ torch.from_numpy(bank).T).numpy() - exact).max() < dot_error(dim) / 2


@settings(deadline=None, max_examples=50)
@given(
    rows=st.lists(
        st.tuples(st.floats(-1.5, 1.5, width=32), st.integers(0, 2**32 - 2)), min_size=1, max_size=30, unique=True
    )
)
def test_keys_sort_by_similarity_then_row(rows: list[tuple[float, int]]) -> None:
    similarity, index = np.array([r[0] for r in rows], np.float32), np.array([r[1] for r in rows])
    found = neighbours._decoded(np.sort(neighbours._keys(similarity, index)))
    expected = sorted(zip((similarity + 0.0).tolist(), index.tolist(), strict=True), key=lambda r: (-r[0], r[1]))
    assert list(zip(found.similarity.tolist(), found.rows.tolist(), strict=True)) == expected
    assert neighbours._keys(similarity, index).max() < neighbours.NOBODY


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    columns=st.integers(1, 700),
    count=st.integers(1, 40),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_top_columns_are_a_top_k(seed: int, columns: int, count: int, dtype: torch.dtype) -> None:
    values = torch.randn(5, columns, generator=torch.Generator().manual_seed(seed)).to(dtype)
    count = min(count, columns)
    found, index = top_columns(values, count)
    assert torch.equal(found.sort(descending=True).values, values.topk(count).values)
    assert torch.equal(values.gather(1, index), found)
    assert all(len(set(row)) == count for row in index.tolist())


def test_rows_get_length_one_at_any_scale() -> None:
    x = crowd(0, 0, 5) * np.array([[1e-30], [1e-10], [1], [1e15], [1e36]], dtype=np.float32)
    np.testing.assert_allclose(np.linalg.norm(unit_rows(x).astype(float), axis=1), 1, atol=1e-6)
    with pytest.raises(FeatureError, match="1 train features have no direction; the first is row 102 "):
        unit_rows(np.array([[1, 1], [2, 2], [0, 0]]), "train", first=100)


def test_chunk_bytes_bound_what_is_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    """The torch backend never holds more similarities than it says."""
    monkeypatch.setattr(search, "CHUNK_BYTES", 4 * 300 * 3)
    sizes = []
    real = search.top_columns
    monkeypatch.setattr(search, "top_columns", lambda v, c: sizes.append(v.numel() * 4) or real(v, c))
    nearest(crowd(0, 0), crowd(1, 0, 20), 5, [TorchSearch(CPU)])
    assert max(sizes) == 4 * 300 * 3
    assert len(sizes) == 7
