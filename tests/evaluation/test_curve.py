"""A learning curve's figures: what they are on made answers, and that the intervals hold what they promise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import norm

from sightline.evaluation.curve import Trial, curve_of, leads, point, trend
from sightline.evaluation.metrics import t_interval, wilson

PICTURES = [25, 50, 125, 250, 500]


def trials(levels: Sequence[np.ndarray]) -> list[Trial]:
    """A Trial for each seed of `levels`, bool [seeds, N] each."""
    return [
        Trial("network", number / PICTURES[-1], number, seed, row, 0.5, 1.0 + seed)
        for number, level in zip(PICTURES, levels, strict=True)
        for seed, row in enumerate(level)
    ]


def share(right: float, count: int = 200, seeds: int = 1) -> np.ndarray:
    """The first of `count` pictures right, as many as are that share, for every seed."""
    return np.tile(np.arange(count) < round(right * count), (seeds, 1))


def made(levels: Sequence[float]) -> list[Trial]:
    return trials([share(level) for level in levels])


def test_levels_stand_in_order_with_the_mean_of_their_seeds() -> None:
    levels = [np.vstack([share(low), share(low + 0.1)]) for low in (0.3, 0.4, 0.5, 0.6, 0.7)]
    found = curve_of(trials(levels)[::-1])
    assert [level["pictures"] for level in found["levels"]] == PICTURES
    assert [level["mean"] for level in found["levels"]] == pytest.approx([0.35, 0.45, 0.55, 0.65, 0.75])
    assert found["levels"][0]["values"] == pytest.approx([0.3, 0.4])
    assert found["levels"][0]["seconds"] == 1.5
    assert all(level["low"] < level["mean"] < level["high"] for level in found["levels"])


def test_one_seed_has_wilsons_interval_and_a_point_too() -> None:
    (trial, *_) = one = made([0.3, 0.4, 0.5, 0.6, 0.7])
    low, high = wilson(60, 200)
    level = curve_of(one)["levels"][0]
    # Student's quantile for 199 degrees of freedom instead of the normal one, and 199 for 200 pictures: 1.2 % wider
    assert (level["low"], level["high"]) == pytest.approx((low, high), abs=0.02 * (high - low))
    assert point(trial, "test")["interval"] == {"low": low, "high": high}
    assert (point(trial, "test")["test_top1"], point(trial, "validation")["test_top1"]) == (0.3, None)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_all_or_nothing_has_an_interval_as_well(level: float) -> None:
    found = curve_of(made([level] * 5))["levels"][0]
    assert (found["low"], found["high"]) == pytest.approx(wilson(round(200 * level), 200), abs=1e-9)


def test_the_doubling_is_the_slope_over_the_last_levels() -> None:
    found = curve_of(made([0.1, 0.9, 0.5, 0.6, 0.65]))["trend"]
    assert found["from_pictures"] == 125
    assert found["doubling"]["mean"] == pytest.approx(0.075)
    assert found["last_step"]["mean"] == pytest.approx(0.05)
    # 20 of 200 pictures are new at 250, 10 more at 500: the slope of each picture is half of what it changed by
    low, high = t_interval([0.5] * 30 + [0.0] * 170) or (0, 0)
    assert (found["doubling"]["low"], found["doubling"]["high"]) == pytest.approx((low, high))


def test_steps_of_another_size_count_as_doublings() -> None:
    found = trend([10, 160], [share(0.2), share(0.6)])
    assert (found["from_pictures"], found["doubling"]["mean"]) == (10, pytest.approx(0.1))


def test_twice_the_pictures_follow_a_power_law() -> None:
    errors = [0.4 * (n / 125) ** -0.5 for n in (125, 250, 500, 1000)]
    count = 100_000  # so that the errors are to the picture what they should be
    found = trend(PICTURES[2:], [share(1 - error, count) for error in errors[:3]])["twice"]
    assert found["mean"] == pytest.approx(1 - errors[3], abs=1e-4)
    assert found["low"] < found["mean"] < found["high"]


def test_without_a_mistake_nothing_is_expected() -> None:
    assert trend(PICTURES, [share(level) for level in (0.1, 0.2, 0.9, 0.99, 1.0)])["twice"] is None


def test_where_nothing_changes_something_still_may() -> None:
    doubling = trend(PICTURES, [share(0.8, 30)] * 5)["doubling"]
    assert (doubling["low"], doubling["mean"], doubling["high"]) == pytest.approx((-0.1, 0, 0.1))


@pytest.mark.parametrize("pictures", [(127, 255, 510), (128, 255, 510), (130, 260, 510), (100, 200, 400)])
def test_nor_does_rounding_change_that(pictures: tuple[int, ...]) -> None:
    doubling = trend(pictures, [share(0.95, 20)] * 3)["doubling"]
    assert (doubling["low"], doubling["mean"], doubling["high"]) == pytest.approx((-0.15, 0, 0.15))


def test_leads_are_paired_by_picture_and_seed() -> None:
    ours, theirs = made([0.3, 0.4, 0.5, 0.6, 0.7]), made([0.2] * 5)
    found = leads(ours, theirs)
    assert [lead["mean"] for lead in found] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    low, high = t_interval([1.0] * 20 + [0.0] * 180) or (0, 0)
    assert (found[0]["low"], found[0]["high"]) == pytest.approx((low, high))


def test_seeds_that_differ_widen_every_interval() -> None:
    def width(spread: float) -> tuple[float, float]:
        levels = [np.vstack([share(level - spread), share(level + spread)]) for level in (0.3, 0.4, 0.5, 0.6, 0.7)]
        levels[-1] = np.vstack([share(0.7)] * 2)  # all pictures: every seed the same
        found = curve_of(trials(levels))
        return (
            found["levels"][2]["high"] - found["levels"][2]["low"],
            found["trend"]["doubling"]["high"] - found["trend"]["doubling"]["low"],
        )

    assert all(wide > 1.5 * narrow for wide, narrow in zip(width(0.1), width(0.0), strict=True))


def hard(random: np.random.Generator, count: int, seeds: int, errors: Sequence[float]) -> list[np.ndarray]:
    """Answers with these expected errors: pictures differ in how hard they are, and draws, but with all pictures."""
    hardness = 1.5 * random.normal(size=count)
    levels = []
    for number, error in enumerate(errors):
        drawn = 0.1 if number < len(errors) - 1 else 0.0
        felt = hardness + drawn * random.normal(size=(seeds, 1)) + random.normal(size=(seeds, count))
        levels.append(felt < norm.ppf(1 - error) * np.sqrt(1.5**2 + 1 + drawn**2))
    return levels


@pytest.mark.parametrize(("count", "seeds"), [(146, 1), (146, 3)])
def test_intervals_hold_the_truth_as_often_as_they_say(count: int, seeds: int) -> None:
    """95 % or more: of 400 made curves 380; 363 is four deviations less, so below that it is no luck."""
    random, rounds = np.random.default_rng(0), 400
    errors = [0.5 * (n / 25) ** -0.35 for n in (*PICTURES, 1000)]
    truth = {"doubling": (errors[2] - errors[4]) / 2, "last_step": errors[3] - errors[4], "twice": 1 - errors[5]}
    held = dict.fromkeys((*truth, "level"), 0)
    for _ in range(rounds):
        found = curve_of(trials(hard(random, count, seeds, errors[:5])))
        for name, value in truth.items():
            held[name] += found["trend"][name]["low"] <= value <= found["trend"][name]["high"]
        held["level"] += found["levels"][-1]["low"] <= 1 - errors[4] <= found["levels"][-1]["high"]
    assert min(held.values()) >= 363, held
