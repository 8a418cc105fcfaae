from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.split import split
from tests.strategies import labelled_groups

PARTS = {"test": 0.15, "validation": 0.15}
Case = tuple[np.ndarray, np.ndarray, np.ndarray]


@given(labelled_groups(), st.integers(0, 2**40))
def test_groups_lie_on_one_side(case: Case, seed: int) -> None:
    labels, groups, keys = case
    result = split(labels, groups, keys, PARTS, seed)
    assert set(result) <= {"train", "validation", "test"}
    for group in np.unique(groups):
        assert len(set(result[groups == group])) == 1


@given(labelled_groups(), st.integers(0, 2**40))
def test_a_class_of_three_groups_appears_in_every_part(case: Case, seed: int) -> None:
    labels, groups, keys = case
    result = split(labels, groups, keys, PARTS, seed)
    owner = {group: labels[groups == group][0] for group in groups}  # a group counts to its first row's class
    for label in np.unique(labels):
        own = [group for group, its in owner.items() if its == label]
        there = set(result[np.isin(groups, own)])
        if len(own) >= 3:
            assert there == {"train", "validation", "test"}
        elif len(own) == 2:
            assert there == {"train", "test"}
        elif own:
            assert there == {"train"}


@given(labelled_groups(), st.integers(0, 2**40), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(case: Case, seed: int, random: object) -> None:
    labels, groups, keys = case
    labels = np.asarray([labels[groups == group][0] for group in groups])  # no group spans two classes
    result = split(labels, groups, keys, PARTS, seed)
    order = list(range(len(labels)))
    random.shuffle(order)  # type: ignore[attr-defined]
    renamed = 1000 - groups
    assert split(labels[order], renamed[order], keys[order], PARTS, seed).tolist() == result[order].tolist()


def test_shares_are_kept_in_every_class() -> None:
    labels = np.repeat([0, 1, 2], [1000, 200, 20])
    keys = np.random.default_rng(0).integers(0, 256, (1220, 32), dtype=np.uint8)
    result = split(labels, np.arange(1220), keys, {"test": 0.2, "validation": 0.1}, 0)
    for label, count in enumerate((1000, 200, 20)):
        own = result[labels == label]
        assert (own == "test").sum() == 0.2 * count
        assert (own == "validation").sum() == 0.1 * count


def test_seeds_differ_and_repeat() -> None:
    labels, groups = np.zeros(300, int), np.arange(300)
    keys = np.random.default_rng(0).integers(0, 256, (300, 32), dtype=np.uint8)
    first, again, other = (split(labels, groups, keys, PARTS, seed) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).mean() > 0.2


def test_adding_pictures_moves_few_others() -> None:
    keys = np.random.default_rng(0).integers(0, 256, (1010, 32), dtype=np.uint8)
    few = split(np.zeros(1000, int), np.arange(1000), keys[:1000], PARTS, 0)
    more = split(np.zeros(1010, int), np.arange(1010), keys, PARTS, 0)
    assert (few != more[:1000]).mean() < 0.02


def test_a_large_group_does_not_swallow_a_part() -> None:
    """One group of 90 and ten single pictures: the group is train, whatever the seed."""
    groups = np.concatenate([np.zeros(90, int), np.arange(1, 11)])
    keys = np.random.default_rng(0).integers(0, 256, (100, 32), dtype=np.uint8)
    for seed in range(20):
        result = split(np.zeros(100, int), groups, keys, PARTS, seed)
        assert (result[:90] == "train").all()
        assert set(result) == {"train", "validation", "test"}


@pytest.mark.parametrize(
    ("parts", "names"), [({"test": 0.0, "validation": 0.2}, {"train", "validation"}), ({}, {"train"})]
)
def test_parts_not_asked_for_stay_empty(parts: dict[str, float], names: set[str]) -> None:
    keys = np.random.default_rng(0).integers(0, 256, (50, 32), dtype=np.uint8)
    assert set(split(np.zeros(50, int), np.arange(50), keys, parts, 0)) == names
