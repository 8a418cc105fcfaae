"""The sentences follow the figures, whatever these are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.evaluation.findings import findings
from sightline.evaluation.metrics import mcnemar

DATASET = {"name": "digits", "classes": ["0", "1", "2"], "counts": {"train": 900, "validation": 90, "test": 300}}
CONFUSION = [[100, 0, 0], [0, 98, 2], [6, 0, 94]]


def network(
    arch: str,
    top1: float,
    *,
    seeds: int = 1,
    half: float = 0.01,
    train: float | None = 0.999,
    confusion: list[list[int]] = CONFUSION,
    **costs: float | None,
) -> dict[str, Any]:
    figure = {"mean": top1, "low": max(0, top1 - half), "high": min(1, top1 + half), "values": [top1] * seeds}
    return {
        "arch": arch,
        "seeds": list(range(seeds)),
        "top1": figure,
        "train_top1": {"mean": train},
        "gap": {"train_minus_test": None if train is None else train - top1},
        "confusion": confusion,
        **{"parameters": 1000, "macs": 5000, "train_seconds": 60.0, "run_images_per_s": 500.0, **costs},
    }


def pair(a: str, b: str, only_a: int, only_b: int) -> dict[str, Any]:
    difference = (only_a - only_b) / 300
    return {
        "a": a,
        "b": b,
        "only_a": only_a,
        "only_b": only_b,
        "p_value": mcnemar(only_a, only_b),
        "top1_difference": difference,
    }


def sentences(*networks: dict[str, Any], pairs: list[dict[str, Any]] | None = None) -> list[str]:
    return [text.replace("\u00a0", " ") for text in findings(networks, pairs or [], DATASET)]


def two(only_a: int, only_b: int, top_a: float = 0.98, top_b: float = 0.95, **both: Any) -> tuple[str, str, str]:
    found = sentences(network("a", top_a, **both), network("b", top_b, **both), pairs=[pair("a", "b", only_a, only_b)])
    return found[0], found[1], found[2]


def test_more_than_chance_with_one_training_each() -> None:
    assert two(12, 2)[0] == (
        "a is best on the 300 test pictures, 98.0 % right (95 % interval 97.0 to 99.0 %) against 95.0 % (95 % interval "
        "94.0 to 96.0 %) for b, more than chance explains: 12 pictures only a gets and 2 only b (McNemar, p = 0.013); "
        "another training may end otherwise, as not both were trained with several seeds."
    )


def test_the_better_one_may_be_the_second_of_the_pair() -> None:
    first = sentences(network("a", 0.95), network("b", 0.98), pairs=[pair("a", "b", 2, 12)])[0]
    assert first.startswith("b is best on the 300 test pictures, 98.0 % right")
    assert "12 pictures only b gets and 2 only a" in first


def test_not_more_than_chance() -> None:
    first = two(5, 3)[0]
    assert first.startswith("a is ahead on the 300 test pictures, 98.0 % right")
    assert "but not by more than chance: 5 pictures only a gets and 3 only b (McNemar, p = 0.73)." in first


def test_several_seeds() -> None:
    apart = two(12, 2, seeds=3, half=0.01)[0]
    assert "95 % interval over 3 seeds" in apart
    assert "(McNemar, their seeds averaged, p = 0.013)." in apart
    assert "another training" not in apart
    overlapping = two(12, 2, seeds=2, half=0.02)[0]
    assert "more than chance explains" in overlapping
    assert overlapping.endswith("the intervals over the seeds overlap, so another training may end otherwise.")


def test_averaged_answers_that_point_the_other_way_prove_nothing() -> None:
    first = two(2, 12, seeds=3)[0]
    assert "a is ahead" in first
    assert "but not by more than chance" in first


def test_ties() -> None:
    assert two(4, 4, 0.97, 0.97)[0].startswith("a and b are level on the 300 test pictures, each with 97.0 % right")
    assert two(0, 0, 0.97, 0.97)[0].endswith("they are right and wrong on the same pictures.")


def test_shares_that_would_read_alike_get_another_digit() -> None:
    assert "98.04 % right" in two(1, 0, 0.9804, 0.9801)[0]


def test_what_is_not_all_does_not_read_as_all() -> None:
    assert "99.97 % right" in two(1, 0, 0.9997, 0.98)[0]


def test_one_network_alone() -> None:
    found = sentences(network("a", 0.98))
    assert found[0].endswith("there is no other network to compare it with.")
    assert found[1] == "a has 1.0 k parameters, takes 5.0 k MACs a picture, trained in 1 min and runs 500 images/s."


def test_cheaper_in_everything() -> None:
    small = network("small", 0.95, parameters=272_474, macs=40_813_184, train_seconds=74, run_images_per_s=3180.0)
    large = network("large", 0.98, parameters=6_166_250, macs=1_528_106_240, train_seconds=492, run_images_per_s=388.4)
    assert sentences(small, large, pairs=[pair("small", "large", 1, 9)])[1] == (
        "small is the cheaper one: against large it has 272 k parameters instead of 6.2 M, takes 41 M MACs a "
        "picture instead of 1.5 G, trained in 1 min 14 s instead of 8 min 12 s and runs 3,180 images/s instead of 388."
    )


def test_neither_is_cheaper() -> None:
    slim, quick = network("slim", 0.98, parameters=10), network("quick", 0.95, run_images_per_s=900.0)
    assert sentences(slim, quick, pairs=[pair("slim", "quick", 9, 1)])[1] == (
        "Neither slim nor quick is cheaper throughout: slim has 10 parameters instead of 1.0 k, while quick runs 900 "
        "images/s instead of 500."
    )


def test_times_within_the_noise_are_no_difference() -> None:
    near = network("near", 0.95, train_seconds=61.0, run_images_per_s=510.0)
    found = sentences(network("a", 0.98), near, pairs=[pair("a", "near", 9, 1)])
    assert found[1] == "a and near cost the same to train and to run."


def test_unknown_costs_are_left_out() -> None:
    found = sentences(network("a", 0.98, train_seconds=None, parameters=None))
    assert found[1] == "a takes 5.0 k MACs a picture and runs 500 images/s."


def test_of_three_the_fastest_other_is_named() -> None:
    fast, slow = network("fast", 0.95, run_images_per_s=5000.0), network("slow", 0.96, run_images_per_s=100.0)
    pairs = [pair("a", "fast", 9, 1), pair("a", "slow", 5, 1), pair("fast", "slow", 1, 2)]
    found = sentences(network("a", 0.98), fast, slow, pairs=pairs)
    assert "against 96.0 %" in found[0]
    assert found[1].startswith("fast is the cheaper one: against a it runs 5,000 images/s")


@pytest.mark.parametrize(
    ("train", "said"),
    [
        (
            0.985,
            "a does about as well on new pictures as on those it was trained on, 98.5 % of its training and",
        ),
        (0.90, "a gets 90.0 % of its training and 98.0 % of the test pictures right, no sign of overfitting; "),
        (0.9904, "a gets 99.0 % of its training and 98.0 % of the test pictures right, a gap that 300 pictures cannot"),
        (1.0, "a gets 100 % of its training and 98.0 % of the test pictures right, a gap of 2.0 points; "),
        (None, "a was measured on test pictures alone; "),
    ],
)
def test_generalisation(train: float | None, said: str) -> None:
    assert sentences(network("a", 0.98, train=train))[2].startswith(said)


def test_overfitting_is_called_by_its_name() -> None:
    found = sentences(network("a", 0.80, train=0.99))[2]
    assert "a gap of 19.0 points, a sign of overfitting; " in found


def test_wide_intervals_over_seeds_do_not_hide_a_gap() -> None:
    found = sentences(network("a", 0.80, train=0.99, seeds=2, half=0.2))[2]
    assert "a gap of 19.0 points" in found


@pytest.mark.parametrize(
    ("confusion", "seeds", "said"),
    [
        (CONFUSION, 1, 'it errs most by taking "2" for "0" (6 of 100 answers).'),
        (CONFUSION, 3, 'it errs most by taking "2" for "0" (6 of 100 answers over 3 seeds).'),
        ([[5, 0, 0], [0, 5, 0], [0, 0, 5]], 1, "it makes no mistake on the test pictures."),
        ([[5, 1, 0], [0, 5, 1], [0, 0, 5]], 1, "no two classes stand out among its mistakes."),
        ([[5, 1, 0], [0, 5, 0], [0, 0, 5]], 1, 'it errs most by taking "0" for "1" (1 of 6 answers).'),
    ],
)
def test_the_worst_confusion(confusion: list[list[int]], seeds: int, said: str) -> None:
    assert sentences(network("a", 0.98, confusion=confusion, seeds=seeds))[2].endswith(said)


SAME = {"commonest": 0.98, "recall": 0.34, "classes": 3}
GUESSES = {"commonest": 0.4, "recall": 0.35, "classes": 3}


def test_a_collapsed_network_is_told_before_anything_else() -> None:
    dead, alive = network("dead", 0.33), network("alive", 0.9)
    dead["collapsed"], alive["collapsed"] = [{"seed": 0, **SAME}], []
    found = sentences(dead, alive, pairs=[pair("dead", "alive", 1, 200)])
    assert len(found) == 4
    assert found[0] == (
        "dead has learnt nothing yet: it gives the same answer to 98.0 % of the test pictures; train it for longer, or "
        "with a lower --lr; deep residual networks start more steadily with --zero-init."
    )
    assert found[1].startswith("alive is best")


@pytest.mark.parametrize(
    ("seeds", "said"), [([1], "in 1 of 3 trainings (seed 1): "), ([0, 2], "in 2 of 3 trainings (seeds 0 and 2): ")]
)
def test_the_seeds_that_collapsed_are_named(seeds: list[int], said: str) -> None:
    dead = network("dead", 0.33, seeds=3)
    dead["collapsed"] = [{"seed": seed, **GUESSES} for seed in seeds]
    assert sentences(dead)[0].startswith(
        f"dead has learnt nothing yet {said}it gets 35.0 % of the test pictures right in the mean of the classes, "
        "where guessing gets 33.3 %; train it"
    )


@given(
    tops=st.lists(st.floats(0, 1), min_size=1, max_size=4),
    train=st.one_of(st.none(), st.floats(0, 1)),
    seeds=st.integers(1, 3),
    counts=st.lists(st.integers(0, 300), min_size=12, max_size=12),
)
def test_always_three_sentences_of_one_line(
    tops: list[float], train: float | None, seeds: int, counts: list[int]
) -> None:
    confusion = np.array(counts[:9]).reshape(3, 3).tolist()
    networks = [network(f"n{i}\n", t, train=train, seeds=seeds, confusion=confusion) for i, t in enumerate(tops)]
    names = [n["arch"] for n in networks]
    pairs = [pair(a, b, *counts[9:11]) for i, a in enumerate(names) for b in names[i + 1 :]]
    found = findings(networks, pairs, DATASET)
    assert len(found) == 3
    assert all(text.endswith(".") and "\n" not in text and "None" not in text and "nan" not in text for text in found)
