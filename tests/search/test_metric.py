"""The metric: unit length where it is the cosine, and vectors without direction refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core.errors import UserError
from sightline.search.metric import prepared


def test_a_zero_vector_has_no_direction() -> None:
    with pytest.raises(UserError, match=r"black\.png: its embedding is zero"):
        prepared(np.array([[1.0, 2.0], [0.0, 0.0]], np.float32), "cosine", ["fine.png", "black.png"].__getitem__)


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
