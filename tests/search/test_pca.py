"""PCA equals scikit-learn's own, its axes are orthonormal, and what cannot be is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from sightline.core.errors import UserError
from sightline.search import pca


def clouds(count: int, dims: int, seed: int = 0) -> np.ndarray:
    """Vectors whose variance falls along drawn axes, away from the origin."""
    draw = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(draw.normal(size=(dims, dims)))
    scaled = draw.normal(size=(count, dims)) * np.geomspace(3, 0.3, dims)
    return (scaled @ axes + draw.normal(size=dims)).astype(np.float32)


@given(st.integers(2, 60), st.integers(1, 40), st.integers(0, 99))
def test_it_is_scikit_learns_full_solution(count: int, dims: int, seed: int) -> None:
    vectors = clouds(count, dims, seed)
    found, full = pca.fit(vectors), PCA(svd_solver="full").fit(vectors.astype(np.float64))
    kept = len(found.axes)
    assert kept == min(count - 1, dims)
    largest = full.explained_variance_[0]  # float32's grain is a share of it, whatever the axis
    np.testing.assert_allclose(found.variances, full.explained_variance_[:kept], rtol=1e-3, atol=1e-6 * largest)
    np.testing.assert_allclose(found.axes @ found.axes.T, np.eye(kept), atol=1e-5)
    assert found.explained() == pytest.approx(1, abs=1e-5)
    ours, theirs = found(vectors), full.transform(vectors.astype(np.float64))[:, :kept]
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=2e-2)  # neighbouring axes may be turned a little
    distances = [np.linalg.norm(x[:1] - x, axis=1) for x in (ours, vectors)]
    np.testing.assert_allclose(*distances, rtol=1e-4, atol=1e-4)  # all axes together keep every distance


def test_in_parts_it_is_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = clouds(1000, 20)
    whole = pca.fit(vectors)
    monkeypatch.setattr(pca, "WHOLE_BYTES", 0)
    monkeypatch.setattr(pca, "BLOCK", 128)
    parts = pca.fit(vectors)
    np.testing.assert_allclose(parts.variances, whole.variances, rtol=1e-4)
    np.testing.assert_allclose(np.abs((parts.axes * whole.axes).sum(1)), 1, atol=1e-3)
    assert parts.explained(5) == pytest.approx(whole.explained(5), abs=1e-4)
    np.testing.assert_allclose(np.concatenate(list(whole.blocks(vectors))), whole(vectors), atol=1e-5)


def test_whitened_every_axis_counts_the_same() -> None:
    vectors = clouds(500, 8)
    whitened = pca.fit(vectors).cut(5, whitened=True)(vectors)
    np.testing.assert_allclose(np.cov(whitened.T), np.eye(5), atol=1e-3)


def test_saved_and_opened_it_projects_alike(tmp_path: Path) -> None:
    vectors = clouds(50, 8)
    projection = pca.fit(vectors).cut(3, whitened=True)
    projection.save(tmp_path / "pca.npz")
    opened = pca.Projection.open(tmp_path / "pca.npz")
    np.testing.assert_array_equal(opened(vectors), projection(vectors))
    assert (opened.explained(), opened.dims) == (projection.explained(), 3)
    (tmp_path / "pca.npz").write_bytes((tmp_path / "pca.npz").read_bytes()[:100])
    with pytest.raises(UserError, match=r"pca\.npz holds no projection"):
        pca.Projection.open(tmp_path / "pca.npz")


@pytest.mark.parametrize("dims", [0, -1, 5, 11])
def test_more_dimensions_than_the_vectors_span(dims: int) -> None:
    flat = clouds(100, 4) @ np.random.default_rng(1).normal(size=(4, 10)).astype(np.float32)
    with pytest.raises(UserError, match=r"--pca -?\d+: these vectors of 10 numbers span 4 dimensions; ask for 1 to 4"):
        pca.fit(flat).cut(dims)


@pytest.mark.parametrize("count", [1, 2, 30_000])
def test_equal_vectors_have_no_axes(count: int) -> None:
    with pytest.raises(UserError, match="all vectors are equal"):
        pca.fit(np.full((count, 4), 0.5, np.float32))
