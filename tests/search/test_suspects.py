"""Near duplicates and suspected labels, where they were put."""

from __future__ import annotations

import numpy as np

from sightline.search.backends import make
from sightline.search.suspects import near_duplicates, others, suspects
from tests.search.test_backends import clustered


def test_copies_are_grouped_and_chains_are_one_group() -> None:
    vectors = clustered(300, 16)
    vectors[200] = vectors[7] + 1e-3
    vectors[201] = vectors[200] + 1e-3
    vectors[250] = vectors[9]
    squares, rows = others(make("exact").fit(vectors), vectors, 10)
    assert near_duplicates(squares, rows, 1e-4) == [[7, 200, 201], [9, 250]]
    assert near_duplicates(squares, rows, 0.0) == [[9, 250]]


def test_nobody_is_its_own_neighbour_also_among_equals() -> None:
    vectors = np.ones((40, 4), np.float32)
    _, rows = others(make("exact").fit(vectors), vectors, 5)
    assert rows.shape == (40, 5)
    assert not (rows == np.arange(40)[:, None]).any()


def test_a_wrong_label_is_suspected_and_a_right_one_is_not() -> None:
    draw = np.random.default_rng(2)
    labels = np.repeat([0, 1, 2], 50)
    vectors = (np.eye(3, 8)[labels] + 0.05 * draw.normal(size=(150, 8))).astype(np.float32)
    wrong = labels.copy()
    wrong[[3, 77]] = 2, 0
    _, rows = others(make("exact").fit(vectors), vectors, 10)
    found = suspects(rows, wrong)
    assert {(one.row, one.other) for one in found} == {(3, 0), (77, 1)}
    assert all(one.share >= 0.9 for one in found)
    assert suspects(rows, labels) == []
