"""A learning curve's sentences follow its figures, whatever these are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.evaluation.curve_findings import findings, verdict

PICTURES = [30, 60, 150, 300, 600]
RISING, HANDMADE = [0.5, 0.6, 0.7, 0.75, 0.8], [0.3, 0.35, 0.4, 0.45, 0.5]


def estimate(mean: float, half: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - half, "high": mean + half}


def share(mean: float, half: float) -> dict[str, float]:
    return {"mean": mean, "low": max(0.0, mean - half), "high": min(1.0, mean + half)}


def curve(means: Sequence[float], half: float = 0.02) -> dict[str, Any]:
    """A curve with these means, the interval of its doubling `half` wide on either side."""
    levels = [{"share": n / 600, "pictures": n, **share(mean, 0.04)} for n, mean in zip(PICTURES, means, strict=True)]
    twice = None if 1 in means[2:] else share(min(1.0, means[-1] + 0.03), 0.05)
    trend = {
        "from_pictures": 150,
        "doubling": estimate((means[4] - means[2]) / 2, half),
        "last_step": estimate(means[4] - means[3], 2 * half),
        "twice": twice,
    }
    return {"levels": levels, "trend": trend}


def said(
    means: Sequence[float] = RISING,
    handmade: Sequence[float] = HANDMADE,
    *,
    half: float = 0.02,
    lead_half: float = 0.05,
    seeds: int = 3,
    split: str = "test",
) -> list[str]:
    leads = [
        {"pictures": n, **estimate(ours - theirs, lead_half)}
        for n, ours, theirs in zip(PICTURES, means, handmade, strict=True)
    ]
    document = {
        "arch": "resnet20",
        "split": split,
        "n": 200,
        "seeds": list(range(seeds)),
        "curves": [curve(means, half), curve(handmade)],
        "leads": leads,
    }
    return [text.replace("\u00a0", " ") for text in findings(document)]


def test_more_pictures_help() -> None:
    assert said() == [
        "More pictures would help: each doubling from 150 to 600 has brought +5.0 points (95 % interval +3.0 to +7.0 "
        "points).",
        "From all 600 pictures resnet20 gets 80.0 % (95 % interval 76.0 to 84.0 %) of the 200 test pictures right; "
        "from 1,200 about 83.0 % (95 % interval 78.0 to 88.0 %) can be expected, if its mistakes go on as they have, "
        "as a power of the number of pictures.",
        "resnet20 is ahead of hand-engineered features from 30 pictures on, the fewest tried: 80.0 % against 50.0 % "
        "from all 600 pictures; from 30 it does what they do from all.",
    ]


@pytest.mark.parametrize(
    ("means", "half", "answer", "words"),
    [
        ([0.5, 0.6, 0.90, 0.905, 0.91], 0.002, "little", "More pictures would help, but little: "),
        ([0.5, 0.6, 0.80, 0.80, 0.80], 0.005, "hardly", "More pictures like these would hardly help: "),
        ([0.5, 0.6, 0.80, 0.79, 0.77], 0.005, "hardly", "More pictures like these would hardly help: "),
        ([0.5, 0.6, 0.78, 0.79, 0.80], 0.03, "open", "Whether more pictures would help is open: "),
        ([0.5, 0.6, 0.70, 0.80, 0.80], 0.02, "open", "Whether more pictures would help is open: "),
        ([0.5, 0.6, 0.9, 0.95, 1.0], 0.02, "nothing left", "Whether more pictures would help cannot be seen on "),
    ],
)
def test_every_verdict(means: list[float], half: float, answer: str, words: str) -> None:
    assert verdict(curve(means, half)) == answer
    assert said(means, half=half)[0].startswith(words)


def test_what_is_open_says_why() -> None:
    assert said([0.5, 0.6, 0.78, 0.79, 0.80], half=0.03)[0].endswith(
        "has brought +1.0 points (95 % interval −2.0 to +4.0 points), which may be chance."
    )
    assert said([0.5, 0.6, 0.70, 0.80, 0.80])[0].endswith(
        "has brought +5.0 points (95 % interval +3.0 to +7.0 points), but the last step nothing."
    )


def test_without_a_mistake_nothing_is_expected() -> None:
    assert said([0.5, 0.6, 0.9, 0.95, 1.0])[1] == (
        "From all 600 pictures resnet20 gets 100 % (95 % interval 96.0 to 100 %) of the 200 test pictures right."
    )


def test_ahead_from_somewhere_on() -> None:
    late = said(RISING, [0.5, 0.58, 0.6, 0.6, 0.62])[2]
    assert "ahead of hand-engineered features from 150 pictures on: 80.0 % against 62.0 % from all 600" in late
    assert late.endswith("; from 150 it does what they do from all.")
    behind = said(RISING, [0.6, 0.62, 0.69, 0.71, 0.7])[2]
    assert "from 600 pictures on (up to 30 it is behind): 80.0 % against 70.0 %" in behind
    assert behind.endswith("; from 150 it does what they do from all.")


def test_only_all_pictures_are_enough() -> None:
    assert said([0.1, 0.2, 0.3, 0.4, 0.8])[2].endswith(": 80.0 % against 50.0 % from all 600 pictures.")


def test_level_and_behind() -> None:
    assert said(RISING, [0.3, 0.4, 0.6, 0.7, 0.78])[2] == (
        "resnet20 and hand-engineered features cannot be told apart: 80.0 % against 78.0 % from all 600 pictures, a "
        "difference of +2.0 points (95 % interval −3.0 to +7.0 points)."
    )
    assert said(RISING, [0.6, 0.7, 0.8, 0.85, 0.9])[2] == (
        "Hand-engineered features are better than resnet20: 80.0 % against 90.0 % from all 600 pictures, a difference "
        "of −10.0 points (95 % interval −15.0 to −5.0 points)."
    )


def test_one_drawing_is_said_to_be_one() -> None:
    assert said(seeds=1)[-1] == (
        "One drawing of the pictures was tried; how much hangs on which they are, --seeds 3 would show."
    )
    assert len(said(seeds=3)) == 3


def test_the_split_is_named() -> None:
    assert "of the 200 validation pictures right" in said(split="validation")[1]


shares = st.lists(st.floats(0, 1), min_size=5, max_size=5)


@given(shares, shares, st.floats(0, 0.5), st.floats(0, 0.5))
def test_any_figures_make_sentences(means: list[float], handmade: list[float], half: float, lead_half: float) -> None:
    found = said(means, handmade, half=half, lead_half=lead_half)
    assert len(found) == 3
    assert all(text.endswith(".") and "nan" not in text and "None" not in text for text in found)
    if math.isclose(means[4], handmade[4]) and lead_half > 0.001:
        assert "cannot be told apart" in found[2]
