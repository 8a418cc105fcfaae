"""Embeddings: unit length, in order, bad pictures listed, vectors without direction refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sightline.bundle import Bundle
from sightline.core.errors import UserError
from sightline.search.embed import embed, prepared
from tests.tiny_network import write


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Embeds an 8x8 grey picture as its own pixels."""
    return write(tmp_path_factory.mktemp("bundles") / "bundle", np.eye(64)[:, :2], np.zeros(2))


def picture(path: Path, values: np.ndarray) -> str:
    Image.fromarray(values.astype(np.uint8)).save(path)
    return str(path)


def test_embeddings_are_the_networks_own_at_unit_length(bundle: Bundle, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8))
    embedded = embed(bundle, [picture(tmp_path / f"{i}.png", one) for i, one in enumerate(pixels)])
    flat = pixels.reshape(5, -1).astype(np.float64)
    assert embedded.vectors.dtype == np.float32
    assert np.allclose(embedded.vectors, flat / np.linalg.norm(flat, axis=1, keepdims=True), atol=1e-6)
    assert embedded.kept.tolist() == [0, 1, 2, 3, 4]
    assert embedded.skipped == ()


def test_bad_pictures_are_skipped_and_listed(bundle: Bundle, tmp_path: Path) -> None:
    good = picture(tmp_path / "good.png", np.full((8, 8), 7))
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "cut.png").write_bytes(Path(good).read_bytes()[:40])
    names = [str(tmp_path / "empty.png"), good, str(tmp_path / "cut.png"), good, str(tmp_path / "none.png")]
    embedded = embed(bundle, names)
    assert embedded.kept.tolist() == [1, 3]
    assert embedded.vectors.shape == (2, 64)
    assert [Path(one.picture).name for one in embedded.skipped] == ["empty.png", "cut.png", "none.png"]
    assert "empty file" in embedded.skipped[0].reason


def test_nothing_to_embed(bundle: Bundle) -> None:
    embedded = embed(bundle, [])
    assert embedded.vectors.shape == (0, 64)


def test_a_zero_embedding_names_the_picture(bundle: Bundle, tmp_path: Path) -> None:
    names = [picture(tmp_path / "fine.png", np.full((8, 8), 7)), picture(tmp_path / "black.png", np.zeros((8, 8)))]
    with pytest.raises(UserError, match=r"black\.png: its embedding is zero"):
        embed(bundle, names)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_embedding_that_is_no_number(value: float, metric: str) -> None:
    with pytest.raises(UserError, match=r"cat\.png: its embedding is not a number"):
        prepared(np.array([[1.0, 2.0], [1.0, value]], np.float32), metric, ["dog.png", "cat.png"].__getitem__)


@given(st.lists(st.floats(-(2.0**120), 2.0**120, width=32), min_size=1, max_size=20))
def test_unit_length_whatever_the_scale(values: list[float]) -> None:
    vector = np.array(values, np.float32)
    if not vector.any():
        return
    (scaled,) = prepared(vector[None], "cosine", str)
    assert np.linalg.norm(scaled.astype(np.float64)) == pytest.approx(1, abs=1e-6)
    assert (np.sign(scaled) * np.sign(vector) >= 0).all()


def test_euclidean_vectors_stay_as_they_are() -> None:
    vectors = np.array([[0.0, 0.0], [3.0, 4.0]], np.float32)
    assert np.array_equal(prepared(vectors, "euclidean", str), vectors)
