"""One battery over every backend, against NumPy brute force."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.search.backends import BACKENDS, Backend
from sightline.search.measure import TOLERANCE, measured, recall

EXACT = ["exact"]


@st.composite
def unit_vectors(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Vectors [N, D], queries [Q, D] of unit length and k; vectors may repeat and queries may be among them."""
    count, dim = draw(st.integers(1, 300)), draw(st.integers(1, 24))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    vectors = random.normal(size=(count, dim))
    if draw(st.booleans()):
        vectors = np.round(vectors) + (np.round(vectors) == 0).all(1, keepdims=True)  # many ties, no zero
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[random.integers(0, count, draw(st.integers(1, 40)))]  # over 20 take FAISS's other path
    return vectors.astype(np.float32), queries.astype(np.float32), draw(st.integers(1, count))


def brute_force(vectors: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """The k smallest cosine distances of each query, ascending, in float64."""
    return np.sort(1 - queries.astype(np.float64) @ vectors.astype(np.float64).T, axis=1)[:, :k]


@pytest.mark.parametrize("name", EXACT)
@given(case=unit_vectors())
def test_exact_search_is_brute_force(name: str, case: tuple[np.ndarray, np.ndarray, int]) -> None:
    vectors, queries, k = case
    distances, rows = BACKENDS[name]().fit(vectors).search(queries, k)
    assert np.allclose(distances, brute_force(vectors, queries, k), atol=TOLERANCE)
    found = 1 - np.einsum("qd,qkd->qk", queries, vectors[rows])  # each distance is that of its row: ties are no errors
    assert np.allclose(distances, found, atol=TOLERANCE)
    assert all(len(set(row)) == k for row in rows.tolist())


@pytest.mark.parametrize("name", BACKENDS)
@given(case=unit_vectors())
def test_the_contract(name: str, case: tuple[np.ndarray, np.ndarray, int]) -> None:
    vectors, queries, k = case
    distances, rows = BACKENDS[name]().fit(vectors).search(queries, k)
    assert (distances.dtype, rows.dtype) == (np.float32, np.int64)
    assert distances.shape == rows.shape == (len(queries), k)
    assert (distances >= 0).all()
    assert (np.diff(distances, axis=1) >= 0).all()
    assert ((rows >= 0) & (rows < len(vectors))).all()


@pytest.mark.parametrize("name", BACKENDS)
def test_saved_and_opened_answers_alike(name: str, tmp_path: Path) -> None:
    vectors = _drawn(500, 16)
    np.save(tmp_path / "vectors.npy", vectors)
    fitted = BACKENDS[name]().fit(vectors)
    fitted.save(tmp_path)
    opened = BACKENDS[name]().open(tmp_path, np.load(tmp_path / "vectors.npy", mmap_mode="r"))
    for ours, theirs in zip(fitted.search(vectors[:30], 7), opened.search(vectors[:30], 7), strict=True):
        assert np.array_equal(ours, theirs)


def test_a_memory_map_is_searched_where_it_is(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", _drawn(100, 8))
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    assert np.shares_memory(BACKENDS["exact"]().fit(mapped).vectors_, mapped)


def test_what_is_measured() -> None:
    vectors = _drawn(300, 8)
    figures = measured(BACKENDS["exact"]().fit(vectors), vectors)
    assert figures["recall"] == 1
    assert figures["latency_us_median"] > 0
    assert (figures["k"], figures["queries"]) == (10, 200)
    few = measured(BACKENDS["exact"]().fit(vectors[:3]), vectors[:3])
    assert (few["k"], few["queries"], few["recall"]) == (3, 3, 1)


class Wrong:
    """A backend that misses: it answers `offset` rows beside the truth, or one row again and again."""

    def __init__(self, inner: Backend, repeat: bool) -> None:
        self.inner, self.repeat = inner, repeat

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        distances, rows = self.inner.search(queries, k)
        return distances, np.repeat(rows[:, :1], k, axis=1) if self.repeat else np.flip(np.argsort(rows), 1) + 150


@pytest.mark.parametrize(("repeat", "low", "high"), [(True, 0.1, 0.1), (False, 0.0, 0.3)])
def test_recall_notices_what_is_missed(repeat: bool, low: float, high: float) -> None:
    vectors = _drawn(300, 8)
    wrong = Wrong(BACKENDS["exact"]().fit(vectors), repeat)
    assert low <= recall(wrong, vectors, vectors[:50], 10) <= high  # type: ignore[arg-type]


def test_ties_are_no_misses() -> None:
    vectors = np.tile(np.array([[1.0, 0.0]], np.float32), (50, 1))
    assert recall(BACKENDS["exact"]().fit(vectors), vectors, vectors[:5], 10) == 1


def _drawn(count: int, dim: int) -> np.ndarray:
    vectors = np.random.default_rng(3).normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
