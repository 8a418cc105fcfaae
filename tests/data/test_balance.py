"""Balancing against the formula and by counting: weights, the even order, and what is said of a Dataset."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score
from sklearn.utils.class_weight import compute_class_weight

from sightline.core.wording import unbalanced
from sightline.data.balance import balanced_accuracy, class_weights, even_order, imbalance

labelled = st.lists(st.integers(0, 5), min_size=1, max_size=80).map(np.array)


@given(labelled)
def test_weights_are_inverse_frequencies_with_a_mean_of_one(labels: np.ndarray) -> None:
    weights = class_weights(labels, 6)
    present = np.unique(labels)
    np.testing.assert_allclose(weights[present], compute_class_weight("balanced", classes=present, y=labels))
    assert abs(weights[labels].mean() - 1) < 1e-12
    assert not weights[np.setdiff1d(np.arange(6), present)].any()


@given(labelled, st.integers(0, 2**32 - 1))
def test_balanced_accuracy_is_scikit_learns(labels: np.ndarray, seed: int) -> None:
    said = np.where(np.random.default_rng(seed).random(len(labels)) < 0.6, labels, labels[0])
    assert abs(balanced_accuracy(labels, said == labels) - balanced_accuracy_score(labels, said)) < 1e-12


@given(labelled, st.integers(0, 2**32 - 1))
def test_an_even_order_deals_classes_and_their_pictures_evenly(labels: np.ndarray, seed: int) -> None:
    order = even_order(labels, np.random.default_rng(seed))
    assert len(order) == len(labels)
    present = np.unique(labels)
    assert np.ptp([np.count_nonzero(labels[order] == label) for label in present]) <= 1
    for label in present:
        repeats = np.bincount(order, minlength=len(labels))[labels == label]
        assert np.ptp(repeats) <= 1
    assert order.tolist() == even_order(labels, np.random.default_rng(seed)).tolist()


def test_what_is_said_of_the_largest_and_smallest_class() -> None:
    found = imbalance(["cat", "dog", "eel"], np.repeat([0, 1, 2], [900, 200, 30]))
    assert found["ratio"] == 30
    assert unbalanced(found) == "900 training pictures of cat, 30 of eel, 30 to 1"
    assert unbalanced(imbalance(["cat", "dog"], np.repeat([0, 1], [29, 10]))) == ""
    assert unbalanced(imbalance(["cat", "dog"], np.zeros(3, np.int64))) == ""
    assert unbalanced({}) == ""
