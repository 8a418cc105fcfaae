"""Neighbours in terms of labels, against plain loops, and the table of dimensions."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.search.pca import fit
from sightline.search.pca_table import DIMENSIONS, pca_table
from sightline.search.quality import ask, quality, voted

CLASSES = ("a", "b", "c")


def labelled(count: int = 120, dims: int = 6, noise: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(5)
    labels = draw.integers(0, 3, count)
    vectors = np.eye(3, dims)[labels] * 2 + noise * draw.normal(size=(count, dims))
    return vectors.astype(np.float32), labels


def test_it_is_what_plain_loops_find() -> None:
    vectors, labels = labelled()
    found = quality(vectors, labels, CLASSES, 4)
    right, precisions, averages, confusion = [], [], [], np.zeros((3, 3), int)
    for row, vector in enumerate(vectors.astype(float)):
        order = [other for other in np.argsort(((vectors - vector) ** 2).sum(1)) if other != row]
        near = labels[order[:4]]
        counts = [(near == number).sum() for number in range(3)]
        first = next(number for number in near if counts[number] == max(counts))
        right.append(first == labels[row])
        precisions.append((near == labels[row]).mean())
        hits = labels[order] == labels[row]
        averages.append(np.mean([hits[: place + 1].mean() for place in np.flatnonzero(hits)]))
        for number in near:
            confusion[labels[row], number] += 1
    assert found["neighbour_accuracy"] == pytest.approx(np.mean(right))
    assert found["precision"] == pytest.approx(np.mean(precisions))
    assert found["map"] == pytest.approx(np.mean(averages))
    assert found["confusion"] == confusion.tolist()
    for number, row in enumerate(found["per_class"]):
        assert row["asked"] == (labels == number).sum()
        assert row["map"] == pytest.approx(np.mean(np.array(averages)[labels == number]))


def test_a_picture_never_counts_itself_also_among_equals() -> None:
    vectors = np.ones((20, 3), np.float32)
    asked = ask(vectors, 5)
    assert asked.found.shape == (20, 5)
    assert not (asked.found == asked.rows[:, None]).any()


def test_a_class_of_one_has_no_average_precision() -> None:
    vectors, labels = labelled()
    labels[labels == 2] = 1
    labels[0] = 2
    found = quality(vectors, labels, CLASSES, 4)
    assert found["per_class"][2]["map"] is None
    assert 0 < found["map"] < 1


def test_of_equal_votes_the_nearer_wins() -> None:
    asked = ask(np.arange(5, dtype=np.float32)[:, None] ** 2, 4)
    labels = np.array([0, 1, 2, 1, 2])
    assert voted(asked, labels, 3)[0] == 1  # 1, 4, 9, 16 away: labels 1, 2, 1, 2


def test_the_table_of_dimensions() -> None:
    vectors, labels = labelled(400, 30, noise=0.4)
    projection = fit(vectors)
    table = pca_table(projection, vectors, labels)
    rows = {row["dims"]: row for row in table["rows"]}
    assert list(rows) == [*(d for d in DIMENSIONS if d < 30), 30]
    assert rows[1]["accuracy"] < rows[3]["accuracy"]
    assert rows[30]["explained"] == pytest.approx(1, abs=1e-5)
    best = max(rows.values(), key=lambda row: row["accuracy"])
    assert best["behind"] == 0
    for row in rows.values():
        assert row["behind"] == pytest.approx(best["accuracy"] - row["accuracy"])
        assert row["low"] <= row["behind"] <= row["high"]
    chosen = table["chosen"]
    assert rows[chosen]["behind"] <= 0.005
    assert all(row["behind"] > 0.005 for dims, row in rows.items() if dims < chosen)
    near = ask(projection(vectors), 5)
    assert rows[30]["accuracy"] == pytest.approx((labels[near.found] == labels[near.rows, None]).mean())
