from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.split import part, split
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


shares = st.floats(0.001, 1)


@given(labelled_groups(), shares, shares, st.integers(0, 2**40))
def test_a_larger_share_holds_the_smaller(case: Case, one: float, other: float, seed: int) -> None:
    labels, _, keys = case
    few, many = (part(labels, keys, share, seed) for share in sorted((one, other)))
    assert not (few & ~many).any()
    assert part(labels, keys, 1.0, seed).all()


@given(labelled_groups(), shares, st.integers(0, 2**40))
def test_a_share_is_one_of_every_class(case: Case, share: float, seed: int) -> None:
    labels, _, keys = case
    chosen = part(labels, keys, share, seed)
    for label in np.unique(labels):
        own = chosen[labels == label]
        assert own.sum() >= 1
        assert abs(own.sum() - share * len(own)) <= max(0.5, 1 - share * len(own))


@given(labelled_groups(), shares, st.integers(0, 2**40), st.randoms(use_true_random=False))
def test_a_share_follows_from_seed_and_content_alone(case: Case, share: float, seed: int, random: object) -> None:
    labels, _, keys = case
    chosen = part(labels, keys, share, seed)
    assert np.array_equal(part(labels, keys, share, seed), chosen)
    order = list(range(len(labels)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert np.array_equal(part(labels[order], keys[order], share, seed), chosen[order])


def test_seeds_draw_different_shares() -> None:
    labels = np.repeat([0, 1], [500, 500])
    keys = np.random.default_rng(0).integers(0, 256, (1000, 32), dtype=np.uint8)
    drawn = np.stack([part(labels, keys, 0.1, seed) for seed in range(40)])
    assert (drawn.sum(axis=1) == 100).all()
    # each picture is in 4 of 40 on average; 15 or more has a probability of 1e-5 for each
    assert drawn.sum(axis=0).max() < 15
    assert (drawn.sum(axis=0) > 0).mean() > 0.95
