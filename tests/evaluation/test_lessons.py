"""What an experiment teaches follows its figures, whatever these are."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sightline.evaluation.lessons import after, common_pass, lessons
from sightline.evaluation.metrics import mcnemar

CAT, DOG = "cat", "dog"


def network(
    arch: str,
    top1: float,
    *,
    train: float | None = None,
    epochs: float = 4.0,
    per_s: float = 100.0,
    macs: float = 1000,
    seconds: float = 600.0,
    validation: tuple[float, ...] | None = None,
    recalls: tuple[float, float] = (0.7, 0.8),
    seeds: int = 1,
    collapsed: int = 0,
) -> dict[str, Any]:
    validation = validation or tuple(0.3 + 0.1 * i for i in range(math.ceil(epochs)))
    rows = [
        {"epoch": i + 1, "seconds": seconds * (i + 1) / len(validation), "validation_top1": value}
        for i, value in enumerate(validation)
    ]
    return {
        "arch": arch,
        "seeds": list(range(seeds)),
        "top1": {"mean": top1},
        "train_top1": {"mean": train},
        "gap": {"train_minus_test": None if train is None else train - top1},
        "epochs": epochs,
        "train_images_per_s": per_s,
        "train_seconds": seconds,
        "macs": macs,
        "histories": [{"seed": seed, "passes": epochs, "rows": rows} for seed in range(seeds)],
        "per_class": [
            {"class": name, "recall": recall, "support": 100} for name, recall in zip((CAT, DOG), recalls, strict=True)
        ],
        "collapsed": [{"seed": seed} for seed in range(collapsed)],
    }


def comparison(a: dict[str, Any], b: dict[str, Any], *, both: int = 100, only: tuple[int, int] = (60, 20)) -> Any:
    pair = {"a": a["arch"], "b": b["arch"], "both": both, "only_a": only[0], "only_b": only[1]}
    pair |= {"neither": 200 - both - sum(only), "p_value": mcnemar(*only)}
    collapsed = [f"{n['arch']} has learnt nothing yet." for n in (a, b) if n["collapsed"]]
    findings = [*collapsed, "a is best.", "a is cheaper.", "a errs."]
    return {"networks": [a, b], "pairs": [pair], "dataset": {"counts": {"test": 200}}, "findings": findings}


def sentences(a: dict[str, Any], b: dict[str, Any], **more: Any) -> list[str]:
    return [text.replace("\u00a0", " ") for text in lessons(comparison(a, b, **more))]


def test_the_verdict_comes_first_and_cost_and_errors_are_left_to_the_sections() -> None:
    found = sentences(network("a", 0.8), network("b", 0.6))
    assert found[0] == "a is best."
    assert not {"a is cheaper.", "a errs."} & set(found)


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (
            {"epochs": 12.4, "per_s": 187.0, "macs": 1120},
            {"epochs": 5.0, "per_s": 77.0},
            "In 10 min each a went through its training pictures 12.4 times, b 5 times (187 pictures a second against "
            "77.0), though a picture takes it 1.12 times as many multiply-adds.",
        ),
        (
            {"epochs": 0.9, "per_s": 20.0, "macs": 2000},
            {"epochs": 2.0, "per_s": 45.0, "seconds": 700.0},
            "In 11 min 40 s and 10 min b went through its training pictures 2 times, a 0.9 times (45.0 pictures a "
            "second against 20.0), as a picture takes it 0.50 times as many multiply-adds.",
        ),
        (
            {"epochs": 2.0},
            {"epochs": 1.0, "macs": 1010},
            "In 10 min each a went through its training pictures 2 times, b once (100 pictures a second against 100), "
            "though a picture takes both about as many multiply-adds.",
        ),
        ({"epochs": 4.1}, {}, "In 10 min each both went through their training pictures about 4.1 times."),
    ],
)
def test_what_the_time_was_spent_on(one: dict[str, Any], other: dict[str, Any], said: str) -> None:
    assert said in sentences(network("a", 0.8, **one), network("b", 0.6, **other))


FAST = {"epochs": 4.0, "validation": (0.3, 0.4, 0.5, 0.6)}
SLOW = {"epochs": 2.2, "validation": (0.25, 0.5, 0.52)}


def test_a_lead_that_comes_from_speed() -> None:
    found = sentences(network("a", 0.8, **FAST), network("b", 0.6, **SLOW))
    assert (
        "After 2 passes, the last that both completed, b had 50.0 % of the validation pictures right and a 40.0 % (of "
        "their schedules they had then done: b 66.7 % and a 50.0 %): the lead of a at the end comes from the passes it "
        "had beyond."
    ) in found


def test_a_lead_that_does_not_come_from_speed() -> None:
    found = sentences(network("a", 0.6, **FAST), network("b", 0.8, **SLOW))
    assert any(text.endswith("): its lead at the end is not of speed alone.") for text in found)


def test_a_lead_that_is_made_up_for() -> None:
    found = sentences(network("a", 0.7, **FAST), network("b", 0.7, **SLOW))
    assert any(text.endswith("): at the end that is made up for.") for text in found)


def test_level_after_the_same_passes() -> None:
    found = sentences(network("a", 0.8, **FAST), network("b", 0.6, **{**SLOW, "validation": (0.2, 0.4, 0.5)}))
    assert any("both had 40.0 % of the validation pictures right" in text for text in found)


@pytest.mark.parametrize(
    "slow",
    [
        {"epochs": 0.7, "validation": (0.2,)},  # not one pass
        {"epochs": 4.0},  # as many, so that is the end
        {"epochs": 2.0, "validation": (None, None)},  # nobody looked
    ],
)
def test_nothing_is_said_of_the_same_passes_where_there_is_nothing_to_say(slow: dict[str, Any]) -> None:
    found = sentences(network("a", 0.8, **FAST), network("b", 0.6, **slow))
    assert not any("the last that both completed" in text for text in found)


def test_the_common_pass_is_that_of_the_slowest_seed() -> None:
    one, other = network("a", 0.8, seeds=2), network("b", 0.8)
    one["histories"][1]["passes"] = 2.999
    assert common_pass(one, other) == 2
    assert after(one, 2) == {"validation_top1": 0.4, "done": 0.5}
    one["histories"][1]["passes"] = None
    assert common_pass(one, other) is None


@pytest.mark.parametrize(
    ("trains", "said"),
    [
        ((0.83, 0.62), "a gap of +3.0 points; b gets 62.0 % of its training and 60.0 % of the test pictures right, a "
         "gap of +2.0 points: no sign of overfitting in either."),
        ((0.95, 0.62), ": a sign of overfitting in a."),
        ((0.82, 0.75), ": a sign of overfitting in b."),
        ((0.95, 0.75), ": a sign of overfitting in both."),
        ((0.83, 0.655), ": no sign of overfitting in either."),  # 5.5 points, which 200 pictures cannot tell from none
    ],
)  # fmt: skip
def test_the_gaps(trains: tuple[float, float], said: str) -> None:
    found = sentences(network("a", 0.8, train=trains[0]), network("b", 0.6, train=trains[1]))
    assert any(text.startswith("a gets ") and text.endswith(said) for text in found)


def test_no_gap_is_told_where_there_is_none() -> None:
    assert not any("a gap of" in text for text in sentences(network("a", 0.8), network("b", 0.6, train=0.7)))


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ((0.9, 0.4), (0.7, 0.8), 'a is furthest ahead at "cat" (90.0 % of its pictures found against 70.0 %), b at '
         '"dog" (80.0 % of its pictures found against 40.0 %).'),
        ((0.9, 0.9), (0.7, 0.8), 'a is behind at no class, and furthest ahead at "cat" (90.0 % of its pictures found '
         "against 70.0 %)."),
        ((0.7, 0.5), (0.7, 0.8), 'b is behind at no class, and furthest ahead at "dog" (80.0 % of its pictures found '
         "against 50.0 %)."),
        ((0.7, 0.8), (0.7, 0.8), "Neither is ahead at any class."),
    ],
)  # fmt: skip
def test_the_classes(one: tuple[float, float], other: tuple[float, float], said: str) -> None:
    assert said in sentences(network("a", 0.8, recalls=one), network("b", 0.6, recalls=other))


def test_what_both_know_together() -> None:
    found = sentences(network("a", 0.8), network("b", 0.6))
    assert found[-1] == (
        "Both are right about 100 of the 200 test pictures, one of them about 80 and neither about 20: whoever always "
        "asked the right one of the two would get 90.0 %."
    )


def test_one_collapsed_network_is_told_first() -> None:
    found = sentences(network("a", 0.8), network("b", 0.1, collapsed=1))
    assert found[:2] == ["b has learnt nothing yet.", "a is best."]


def test_where_both_collapsed_nothing_more_is_read_from_the_figures() -> None:
    found = sentences(network("a", 0.1, collapsed=1), network("b", 0.1, collapsed=2, seeds=2))
    assert found[:2] == ["a has learnt nothing yet.", "b has learnt nothing yet."]
    assert found[2:] == [
        "In 10 min each both went through their training pictures about 4 times. That was too little to compare what "
        "they learnt."
    ]
