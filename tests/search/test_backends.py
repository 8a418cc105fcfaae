"""One battery over every search method, against NumPy brute force."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.core.errors import UserError
from sightline.search.backends import BACKENDS, Absent, Backend, make
from sightline.search.backends.backend import nearest_of
from sightline.search.measure import TOLERANCE, Queries, recalls

EXACT = ["exact", "kd-tree"]


def made(name: str, vectors: np.ndarray, **parameters: int) -> Backend:
    """The method over `vectors`; skipped where its library is absent."""
    try:
        return make(name, **parameters).fit(vectors)
    except Absent as error:
        pytest.skip(str(error))


@st.composite
def vectors_and_queries(draw: st.DrawFn, least: int = 1) -> tuple[np.ndarray, np.ndarray, int]:
    """Vectors [N, D], queries [Q, D] and k; vectors may repeat and queries may be among them."""
    count, dim = draw(st.integers(least, 300)), draw(st.integers(1 if least == 1 else 2, 24))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    vectors = random.normal(size=(count, dim))
    if draw(st.booleans()):
        vectors = np.round(vectors)  # many ties
    queries = vectors[random.integers(0, count, draw(st.integers(1, 100)))]  # over 64 are shared among threads
    return vectors.astype(np.float32), queries.astype(np.float32), draw(st.integers(1, count))


def squares(vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Squared distances [Q, N] in float64."""
    return ((queries[:, None].astype(np.float64) - vectors[None]) ** 2).sum(2)


@pytest.mark.parametrize("name", EXACT)
@given(case=vectors_and_queries())
def test_exact_search_is_brute_force(name: str, case: tuple[np.ndarray, np.ndarray, int]) -> None:
    vectors, queries, k = case
    distances, _ = made(name, vectors).search(queries, k)
    truth = np.sort(squares(vectors, queries), axis=1)[:, :k]
    np.testing.assert_allclose(distances, truth, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", BACKENDS)
@settings(max_examples=20)
@given(case=vectors_and_queries(least=256))
def test_the_contract(name: str, case: tuple[np.ndarray, np.ndarray, int]) -> None:
    """As many different rows as asked for, with their true distances, in order; and alone as among others."""
    vectors, queries, k = case
    backend = made(name, vectors)
    distances, rows = backend.search(queries, k)
    assert (distances.dtype, rows.dtype) == (np.float32, np.int64)
    assert distances.shape == rows.shape == (len(queries), k)
    assert (np.diff(distances, axis=1) >= 0).all()
    assert ((rows >= 0) & (rows < len(vectors))).all()
    assert all(len(set(row)) == k for row in rows.tolist())
    true = np.take_along_axis(squares(vectors, queries), rows, axis=1)
    np.testing.assert_allclose(distances, true, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_query_alone_is_answered_as_among_others(name: str) -> None:
    vectors = clustered(600, 16)
    backend = made(name, vectors)
    _, rows = backend.search(vectors[:130], 4)
    assert all(backend.search(vectors[row : row + 1], 4)[1][0].tolist() == rows[row].tolist() for row in range(130))


@pytest.mark.parametrize("name", [name for name in BACKENDS if name not in EXACT])
def test_more_effort_finds_no_less(name: str) -> None:
    vectors = clustered(3000, 32)
    known, queries = vectors[200:], Queries.among(vectors[200:], vectors[:200], 5)
    backend = made(name, known, **BACKENDS[name].builds(*known.shape)[0])
    found = []
    for effort in backend.EFFORTS:
        backend.effort = effort
        found.append(recalls(backend.search(queries.vectors, 5)[1], known, queries).mean())
    assert found[-1] > 0.95
    assert all(later >= earlier - 0.01 for earlier, later in itertools.pairwise(found))
    assert found[0] < found[-1] or found[0] > 0.99


@pytest.mark.parametrize("name", BACKENDS)
def test_saved_and_opened_answers_alike(name: str, tmp_path: Path) -> None:
    vectors = clustered(600, 16)
    np.save(tmp_path / "vectors.npy", vectors)
    fitted = made(name, vectors)
    fitted.save(tmp_path)
    moved = tmp_path.rename(tmp_path.with_name(f"{tmp_path.name}-moved"))  # as an Index is when it is done
    opened = make(name, **fitted.parameters).open(moved, np.load(moved / "vectors.npy", mmap_mode="r"))
    for ours, theirs in zip(fitted.search(vectors[:30], 7), opened.search(vectors[:30], 7), strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("name", [name for name in BACKENDS if name not in EXACT])
@pytest.mark.parametrize("kept", [0, 100, None])
def test_a_spoilt_or_absent_file_is_named(name: str, kept: int | None, tmp_path: Path) -> None:
    vectors = clustered(600, 16)
    fitted = made(name, vectors)
    fitted.save(tmp_path)
    for file in [file for file in tmp_path.rglob("*") if file.is_file()]:
        if kept is None:
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"damaged index: .* is missing or (truncated|damaged); make the index again"):
        make(name, **fitted.parameters).open(tmp_path, vectors)


@pytest.mark.parametrize("name", ["ivf", "hnsw", "lsh", "annoy"])
def test_files_of_other_vectors_are_refused(name: str, tmp_path: Path) -> None:
    vectors = clustered(600, 16)
    made(name, vectors).save(tmp_path)
    with pytest.raises(UserError, match=r"holds 600 vectors.*, not 599"):
        make(name).open(tmp_path, vectors[:599])


def test_a_memory_map_is_searched_where_it_is(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", clustered(100, 8))
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    backend: Any = made("exact", mapped)
    assert np.shares_memory(backend.vectors_, mapped)


def test_where_a_method_finds_too_few_all_vectors_are_compared() -> None:
    vectors = clustered(50, 4)
    candidates = np.array([[3, -1, -1], [7, 8, 9], [-1, -1, -1]])
    distances, rows = nearest_of(candidates, vectors[:3], vectors, 2)
    truth = squares(vectors, vectors[:3])
    assert rows[0].tolist() == np.argsort(truth[0])[:2].tolist()
    assert rows[2].tolist() == np.argsort(truth[2])[:2].tolist()
    assert rows[1].tolist() == [row for row in np.argsort(truth[1]) if row in (7, 8, 9)][:2]
    np.testing.assert_allclose(distances, np.take_along_axis(truth, rows, 1), atol=TOLERANCE)


def test_an_unknown_method_is_said() -> None:
    with pytest.raises(UserError, match='no search method "hnws", did you mean "hnsw"'):
        make("hnws")


def test_a_library_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "annoy", None)
    with pytest.raises(Absent, match=r"Annoy is not installed: `pip install sightline\[ann\]`"):
        make("annoy").fit(clustered(300, 4))


def clustered(count: int, dims: int, seed: int = 3) -> np.ndarray:
    """Unit vectors around a few dozen centres, as pictures' embeddings lie."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(40, dims))
    vectors = centres[draw.integers(0, 40, count)] + 0.4 * draw.normal(size=(count, dims))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
