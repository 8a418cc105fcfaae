"""Which pictures are shown."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sightline.evaluation.mistakes import SHOWN, disagreements, shares, worst

CLASSES = ["a", "b"]


def probabilities(first: list[float]) -> np.ndarray:
    return np.stack([np.array(first), 1 - np.array(first)], axis=1)


def test_the_surest_mistakes_come_first() -> None:
    rows, labels = np.array([10, 11, 12, 13]), np.array([0, 0, 1, 1])
    found = worst("net", rows, labels, probabilities([0.9, 0.4, 0.95, 0.1]), CLASSES, lambda row: f"p{row}")
    assert [(m["row"], m["picture"], m["true"], m["predicted"]) for m in found] == [
        (12, "p12", "b", "a"),
        (11, "p11", "a", "b"),
    ]
    assert [m["confidence"] for m in found] == [0.95, 0.6]


def test_no_more_mistakes_than_fit() -> None:
    count = 40
    found = worst("net", np.arange(count), np.zeros(count, int), probabilities([0.1] * count), CLASSES, str)
    assert len(found) == SHOWN


def test_disagreements_both_ways() -> None:
    rows, labels = np.arange(30), np.zeros(30, int)
    a, b = np.full(30, 0.9), np.full(30, 0.9)
    b[:20] = np.linspace(0.01, 0.2, 20)  # only a gets these, b ever less surely wrong
    a[20:23] = 0.3  # only b gets these
    found = disagreements(("x", "y"), rows, labels, (probabilities(list(a)), probabilities(list(b))), CLASSES, str)
    assert [one["row"] for one in found] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 20, 21, 22]
    assert (found[0]["a_says"], found[0]["b_says"], found[0]["true"]) == ("a", "b", "a")
    assert (found[0]["a_confidence"], found[0]["b_confidence"]) == (0.9, 0.99)


def test_two_that_agree_have_none() -> None:
    same = probabilities([0.9, 0.2])
    assert disagreements(("x", "y"), np.arange(2), np.array([0, 0]), (same, same), CLASSES, str) == []


@given(st.integers(0, 30), st.integers(0, 30))
def test_no_place_is_left_empty(a: int, b: int) -> None:
    one, other = shares(a, b, SHOWN)
    assert one <= a
    assert other <= b
    assert one + other == min(SHOWN, a + b)
    assert one >= min(a, SHOWN // 2)
    assert other >= min(b, SHOWN // 2)
