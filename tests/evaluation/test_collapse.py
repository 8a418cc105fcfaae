"""A network that learnt nothing is told from one that did, however unbalanced the classes are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.evaluation.collapse import Spread


def answers(counts: list[int], said: list[list[int]]) -> Spread:
    """`said[i][j]` of the `counts[i]` pictures of class i are called j."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return Spread.of(np.concatenate([np.repeat(np.arange(len(row)), row) for row in said]), labels)


def test_what_is_counted() -> None:
    spread = answers([4, 0, 6], [[3, 1, 0], [0, 0, 0], [0, 3, 3]])
    assert spread == Spread(commonest=0.4, recall=pytest.approx((3 / 4 + 3 / 6) / 2), classes=2)


def test_one_answer_to_everything() -> None:
    spread = answers([50, 50, 50], [[50, 0, 0]] * 3)
    assert spread.collapsed
    assert spread.told("test").replace("\u00a0", " ") == "gives the same answer to 100 % of the test pictures"


def test_nearly_one_answer_among_many_classes() -> None:
    classes = 100
    said = [[10 if j == 0 else 0 for j in range(classes)] for _ in range(classes)]
    for i in range(1, 4):
        said[i] = [10 if j == i else 0 for j in range(classes)]
    assert answers([10] * classes, said).collapsed


def test_guessing() -> None:
    spread = answers([100] * 10, [[10] * 10] * 10)
    assert spread.collapsed
    assert spread.told("validation").replace("\u00a0", " ") == (
        "gets 10.0 % of the validation pictures right in the mean of the classes, where guessing gets 10.0 %"
    )


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([970, 30], [[965, 5], [15, 15]]),  # 98 % one answer, and rightly
        ([50, 50], [[40, 10], [15, 35]]),
        ([100] * 5, [[40, 15, 15, 15, 15]] * 1 + [[15] * i + [40] + [15] * (4 - i) for i in range(1, 5)]),
        ([7], [[7]]),  # a single class
    ],
)
def test_what_has_learnt_something(counts: list[int], said: list[list[int]]) -> None:
    assert not answers(counts, said).collapsed


def test_always_the_commonest_class_of_unbalanced_ones_is_collapse() -> None:
    spread = answers([970, 30], [[970, 0], [30, 0]])
    assert spread.collapsed


@given(st.lists(st.integers(1, 40), min_size=2, max_size=12), st.integers(0, 11))
def test_one_answer_is_always_told_and_all_right_never(counts: list[int], answer: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    assert Spread.of(np.full(len(labels), answer % len(counts)), labels).collapsed
    assert not Spread.of(labels, labels).collapsed
