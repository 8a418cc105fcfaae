from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core import wording


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (wording.percent(0.9861), "98.6 %"),
        (wording.percent(1), "100 %"),
        (wording.percent(0.99996), "> 99.9 %"),
        (wording.percent(0.0), "0 %"),
        (wording.percent(1e-6), "< 0.1 %"),
        (wording.percent(None), "–"),
        (wording.percent(float("nan")), "–"),
        (wording.points(0.0112), "+1.1 points"),
        (wording.points(-0.0112), "−1.1 points"),
        (wording.points(-0.0001), "0.0 points"),
        (wording.interval({"low": 0.97, "high": 0.994}), "97.0 to 99.4 %"),
        (wording.interval({"low": None, "high": None}), "–"),
        (wording.times(10.36), "10.4"),
        (wording.times(0.518), "0.52"),
        (wording.times(None), "–"),
        (wording.whole(1797), "1,797"),
        (wording.scaled(272_474), "272 k"),
        (wording.scaled(1_234_567), "1.2 M"),
        (wording.scaled(40_813_184), "41 M"),
        (wording.scaled(999_900), "1.0 M"),
        (wording.scaled(980), "980"),
        (wording.scaled(139_815e9), "140 T"),
        (wording.scaled(2.5e15), "2.5 P"),
        (wording.size(1_310_000_000), "1.3 GB"),
        (wording.size(742), "742 B"),
        (wording.duration(0.42), "0.4 s"),
        (wording.duration(12.3), "12 s"),
        (wording.duration(59.7), "1 min"),
        (wording.duration(192), "3 min 12 s"),
        (wording.duration(4000), "1 h 6 min"),
        (wording.duration(200_000), "2 d 7 h"),
        (wording.rate(8.72), "8.7"),
        (wording.rate(3180.4), "3,180"),
        (wording.p_value(0.0731), "p = 0.073"),
        (wording.p_value(0.0031), "p = 0.003"),
        (wording.p_value(0.0002), "p < 0.001"),
    ],
)
def test_figures_read_as_people_say_them(said: str, expected: str) -> None:
    assert plain(said) == expected


@given(st.floats(0, 1))
def test_a_share_reads_as_all_or_nothing_only_when_it_is(fraction: float) -> None:
    assert (plain(wording.percent(fraction)) == "100 %") == (fraction == 1)
    assert (plain(wording.percent(fraction)) == "0 %") == (fraction == 0)


@pytest.mark.parametrize(
    ("only_a", "only_b", "p_value", "expected"),
    [
        (21, 10, 0.07, "A and B differ on 31 pictures: 21 to 10 for A, p = 0.070: not more than chance."),
        (2, 18, 0.0004, "A and B differ on 20 pictures: 18 to 2 for B, p < 0.001: more than chance."),
        (3, 3, 1.0, "A and B differ on 6 pictures, 3 to 3: no difference."),
        (0, 1, 1.0, "A and B differ on 1 picture: 1 to 0 for B, p = 1.00: not more than chance."),
        (0, 0, 1.0, "A and B are right and wrong on exactly the same pictures."),
    ],
)
def test_a_paired_test_is_one_sentence(only_a: int, only_b: int, p_value: float, expected: str) -> None:
    pair = {"a": "A", "b": "B", "only_a": only_a, "only_b": only_b, "p_value": p_value}
    assert plain(wording.paired(pair)) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.004, 0.0213, "−0.4 to +2.1 points"),
        (0.0, 0.1, "0.0 to +10.0 points"),
        (None, 0.1, "–"),
        (0.1, float("nan"), "–"),
    ],
)
def test_the_interval_of_a_difference(low: float | None, high: float | None, expected: str) -> None:
    assert plain(wording.points_interval({"low": low, "high": high})) == expected


def test_control_characters_are_spelt_out() -> None:
    assert wording.printable("a\nb\x1b[31m\u202e") == r"a\nb\x1b[31m\u202e"
    assert wording.printable("98.6\u00a0%") == "98.6\u00a0%"
