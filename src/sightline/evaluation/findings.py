"""Findings: three sentences that say what a comparison's figures say, and no more.

The first: which network is best on the test pictures, and whether that is more than chance. The second: what it costs.
The third: how the best one holds on pictures it has not seen, and where it errs. A difference counts as more than
chance when McNemar's p-value is below 0.05 and points the same way; even then a single training, or seeds whose
intervals overlap, are said to leave it open how another training would end.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sightline.core.errors import named
from sightline.core.shares import wilson
from sightline.core.wording import SIGNIFICANT, duration, p_value, rate, scaled
from sightline.evaluation.collapse import ADVICE, Spread

SAME_FRAC = 0.05  # times and speeds closer than this differ by nothing one would notice
SMALL_GAP, LARGE_GAP = 0.01, 0.05
NBSP = "\u00a0"

_Document = Mapping[str, Any]


def findings(networks: Sequence[_Document], pairs: Sequence[_Document], dataset: _Document) -> list[str]:
    """Three sentences about a comparison document's `networks`, `pairs` and `dataset`.

    Before them one about each network that has collapsed.
    """
    ranked = sorted(networks, key=lambda network: -network["top1"]["mean"])
    count = dataset["counts"]["test"]
    return [
        *(_collapsed(network) for network in ranked if network.get("collapsed")),
        _best(ranked, pairs, count),
        _cost(ranked),
        _errs(ranked[0], dataset["classes"], count),
    ]


def _collapsed(network: _Document) -> str:
    """A network that learnt nothing in some of its trainings, and what to try."""
    trainings, of = network["collapsed"], len(network["seeds"])
    seeds = _listed([str(one["seed"]) for one in trainings])
    which = f" in {len(trainings)} of {of} trainings (seed{'s' if len(trainings) > 1 else ''} {seeds})"
    one = trainings[0]
    spread = Spread(one["commonest"], one["recall"], one["classes"])
    return f"{_name(network)} has learnt nothing yet{which if of > 1 else ''}: it {spread.told('test')}; {ADVICE}."


def _best(ranked: Sequence[_Document], pairs: Sequence[_Document], count: int) -> str:
    """The best against the second best."""
    best = ranked[0]
    if len(ranked) == 1:
        return (
            f"{_name(best)} gets {_share(best)} of the {count:,} test pictures right{_interval(best)}; "
            "there is no other network to compare it with."
        )
    second = ranked[1]
    pair = next(p for p in pairs if {p["a"], p["b"]} == {best["arch"], second["arch"]})
    if math.isclose(best["top1"]["mean"], second["top1"]["mean"], abs_tol=1e-12):
        return (
            f"{_name(best)} and {_name(second)} are level on the {count:,} test pictures, each with {_share(best)} "
            f"right{_interval(best)}; {_split(pair, best, second)}."
        )
    standing = (
        f"on the {count:,} test pictures, {_share(best, second)} right{_interval(best)} against "
        f"{_share(second, best)}{_interval(second)} for {_name(second)}"
    )
    ahead = pair["top1_difference"] if pair["a"] == best["arch"] else -pair["top1_difference"]
    if pair["p_value"] >= SIGNIFICANT or ahead <= 0:
        return f"{_name(best)} is ahead {standing}, but not by more than chance: {_split(pair, best, second)}."
    return (
        f"{_name(best)} is best {standing}, more than chance explains: {_split(pair, best, second)}"
        f"{_caution(best, second)}."
    )


def _split(pair: _Document, best: _Document, second: _Document) -> str:
    """The pictures that part the two, and the test."""
    if not pair["only_a"] + pair["only_b"]:
        return "they are right and wrong on the same pictures"
    mine, other = ("only_a", "only_b") if pair["a"] == best["arch"] else ("only_b", "only_a")
    averaged = ", their seeds averaged" if max(len(best["seeds"]), len(second["seeds"])) > 1 else ""
    return (
        f"{_pictures(pair[mine])} only {_name(best)} gets and {pair[other]:,} only {_name(second)} "
        f"(McNemar{averaged}, {p_value(pair['p_value'])})"
    )


def _caution(best: _Document, second: _Document) -> str:
    """What a difference on these pictures leaves open about other trainings."""
    if min(len(best["seeds"]), len(second["seeds"])) == 1:
        return "; another training may end otherwise, as not both were trained with several seeds"
    if best["top1"]["low"] <= second["top1"]["high"]:
        return "; the intervals over the seeds overlap, so another training may end otherwise"
    return ""


def _cost(ranked: Sequence[_Document]) -> str:
    """The best against the fastest other, or its own cost when it is alone."""
    best = ranked[0]
    if len(ranked) == 1:
        own = [f"{cost.verb} {cost.figure(best[cost.key])}{cost.unit}" for cost in COSTS if best[cost.key] is not None]
        return f"{_name(best)} {_listed(own)}."
    other = max(ranked[1:], key=lambda network: network["run_images_per_s"] or 0)
    mine, theirs = _advantages(best, other), _advantages(other, best)
    if mine and theirs:
        return (
            f"Neither {_name(best)} nor {_name(other)} is cheaper throughout: {_name(best)} {_listed(mine)}, "
            f"while {_name(other)} {_listed(theirs)}."
        )
    if not mine and not theirs:
        return f"{_name(best)} and {_name(other)} cost the same to train and to run."
    winner, loser = (best, other) if mine else (other, best)
    return f"{_name(winner)} is the cheaper one: against {_name(loser)} it {_listed(mine or theirs)}."


def _advantages(winner: _Document, loser: _Document) -> list[str]:
    """Phrases for what `winner` does for less than `loser`; unknown costs are left out."""
    return [
        f"{cost.verb} {cost.figure(winner[cost.key])}{cost.unit} instead of {cost.figure(loser[cost.key])}"
        for cost in COSTS
        if None not in (winner[cost.key], loser[cost.key]) and cost.less(winner[cost.key], loser[cost.key])
    ]


def _errs(best: _Document, classes: Sequence[str], count: int) -> str:
    """How the best network's accuracy holds on unseen pictures, and the confusion it commits most."""
    return f"{_generalises(best, count)}; {_confuses(best, classes)}."


def _generalises(best: _Document, count: int) -> str:
    """The gap between training and test pictures, against what `count` test pictures can tell."""
    train, test, gap = best["train_top1"]["mean"], best["top1"]["mean"], best["gap"]["train_minus_test"]
    if gap is None:
        return f"{_name(best)} was measured on test pictures alone"
    both = f"{_percent(train)} of its training and {_percent(test)} of the test pictures right"
    if abs(gap) < SMALL_GAP:
        return f"{_name(best)} does about as well on new pictures as on those it was trained on, {both}"
    if gap < 0:
        return f"{_name(best)} gets {both}, no sign of overfitting"
    if train <= wilson(round(test * count), count)[1]:
        return f"{_name(best)} gets {both}, a gap that {_pictures(count)} cannot tell from none"
    verdict = ", a sign of overfitting" if gap >= LARGE_GAP else ""
    return f"{_name(best)} gets {both}, a gap of {100 * gap:.1f} points{verdict}"


def _confuses(best: _Document, classes: Sequence[str]) -> str:
    """The most frequent confusion on the test pictures, over all seeds."""
    cells = [(n, i, j) for i, row in enumerate(best["confusion"]) for j, n in enumerate(row) if i != j and n]
    if not cells:
        return "it makes no mistake on the test pictures"
    most, i, j = max(cells, key=lambda cell: cell[0])
    seeds = len(best["seeds"])
    if most <= seeds and len(cells) > 1:
        return "no two classes stand out among its mistakes"
    over = f" over {seeds} seeds" if seeds > 1 else ""
    return (
        f'it errs most by taking "{named(classes[i])}" for "{named(classes[j])}" '
        f"({most:,} of {sum(best['confusion'][i]):,} answers{over})"
    )


def _name(network: _Document) -> str:
    return named(network["arch"])


def _interval(network: _Document) -> str:
    top1, seeds = network["top1"], len(network["seeds"])
    over = f" over {seeds} seeds" if seeds > 1 else ""
    return f" (95{NBSP}% interval{over} {100 * top1['low']:.1f} to {_percent(top1['high'])})"


def _share(network: _Document, other: _Document | None = None) -> str:
    """Top-1 in percent, with a second decimal where it would else read like that of `other`."""
    mean = network["top1"]["mean"]
    alike = other is not None and _percent(mean) == _percent(other["top1"]["mean"])
    return _percent(mean, 2 if alike else 1)


def _percent(fraction: float, digits: int = 1) -> str:
    """In percent; what is not quite all never reads as 100 %, nor as 0 % what is not quite nothing."""
    if fraction in (0, 1):
        return f"{100 * fraction:.0f}{NBSP}%"
    while digits < 4 and round(100 * fraction, digits) in (0, 100):
        digits += 1
    return f"{100 * fraction:.{digits}f}{NBSP}%"


def _pictures(count: int) -> str:
    return f"{count:,} picture" + ("" if count == 1 else "s")


def _listed(phrases: Sequence[str]) -> str:
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"


@dataclass(frozen=True)
class _Cost:
    """One cost of a network and how a sentence says it."""

    key: str
    verb: str
    figure: Callable[[float], str]
    unit: str
    less: Callable[[float, float], bool] = operator.lt


COSTS = (
    _Cost("parameters", "has", scaled, " parameters"),
    _Cost("macs", "takes", scaled, " MACs a picture"),
    _Cost("train_seconds", "trained in", duration, "", lambda one, other: one * (1 + SAME_FRAC) < other),
    _Cost("run_images_per_s", "runs", rate, " images/s", lambda one, other: one > other * (1 + SAME_FRAC)),
)
