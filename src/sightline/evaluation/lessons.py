"""Lessons: what two networks that were trained for the same time teach, in sentences computed from their comparison.

The comparison says which is ahead and whether by chance (`findings`). Here: what the time was spent on, who learnt more
from the same pictures, how both hold on new ones, and where they differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sightline.core.errors import named
from sightline.core.shares import wilson
from sightline.core.wording import decimal, duration, percent, points, rate, whole
from sightline.evaluation.findings import SAME_FRAC

Document = Mapping[str, Any]
OVERFITTING = 0.05  # the gap of training to test accuracy that is called so


def lessons(comparison: Document) -> list[str]:
    """The sentences of a comparison document of two networks, the first findings of the comparison itself before."""
    a, b = comparison["networks"]
    pair, test = comparison["pairs"][0], comparison["dataset"]["counts"]["test"]
    *collapsed, best, _, _ = comparison["findings"]  # cost and errors are told of both here
    if all(len(network["collapsed"]) == len(network["seeds"]) for network in (a, b)):
        return [*collapsed, f"{_pace(a, b)} That was too little to compare what they learnt."]
    said = [
        *collapsed,
        best,
        _pace(a, b),
        _same_pictures(a, b),
        _generalise(a, b, test),
        _classes(a, b),
        _together(pair, test),
    ]
    return [sentence for sentence in said if sentence]


def common_pass(a: Document, b: Document) -> int | None:
    """The last pass over the training pictures that every seed of both networks completed; None without one."""
    passes = [history["passes"] or 0 for network in (a, b) for history in network["histories"]]
    return int(min(passes, default=0) + 1e-9) or None


def after(network: Document, epoch: int) -> dict[str, float | None]:
    """Mean over the seeds, at the end of pass `epoch`: validation accuracy and the share of the run that was done."""
    rows = [history["rows"] for history in network["histories"]]
    found = [row["validation_top1"] for history in rows for row in history if row["epoch"] == epoch]
    done = [history[epoch - 1]["seconds"] / history[-1]["seconds"] for history in rows]
    known = [value for value in found if value is not None]
    return {"validation_top1": float(np.mean(known)) if known else None, "done": float(np.mean(done))}


def _pace(a: Document, b: Document) -> str:
    """How often each went through its pictures in the time, and what a picture costs."""
    fast, slow = (a, b) if a["epochs"] >= b["epochs"] else (b, a)
    began = f"In {_time(fast, slow)}"
    if fast["epochs"] < slow["epochs"] * (1 + SAME_FRAC):
        return f"{began} both went through their training pictures about {_times(fast)}."
    ratio = fast["macs"] / slow["macs"]
    if abs(ratio - 1) < SAME_FRAC:
        cost = "though a picture takes both about as many multiply-adds"
    else:
        cost = f"{'though' if ratio > 1 else 'as'} a picture takes it {decimal(ratio, 2)} times as many multiply-adds"
    speeds = f"{rate(fast['train_images_per_s'])} pictures a second against {rate(slow['train_images_per_s'])}"
    return (
        f"{began} {_name(fast)} went through its training pictures {_times(fast)}, {_name(slow)} {_times(slow)} "
        f"({speeds}), {cost}."
    )


def _time(a: Document, b: Document) -> str:
    """The training time of both, once where it is the same."""
    times = [network["train_seconds"] for network in (a, b)]
    if max(times) < min(times) * (1 + SAME_FRAC):
        return f"{duration(sum(times) / 2)} each"
    return f"{duration(times[0])} and {duration(times[1])}"


def _same_pictures(a: Document, b: Document) -> str | None:
    """Who knew more after the same number of passes, and what that says of the lead at the end."""
    epoch = common_pass(a, b)
    if epoch is None:
        return None
    then = {network["arch"]: after(network, epoch) for network in (a, b)}
    if any(found["validation_top1"] is None for found in then.values()):
        return None
    if all((found["done"] or 0) > 1 - SAME_FRAC for found in then.values()):
        return None  # that was the end of both
    better, worse = sorted((a, b), key=lambda network: -(then[network["arch"]]["validation_top1"] or 0))
    one, other = (then[network["arch"]]["validation_top1"] for network in (better, worse))
    passes = f"After {epoch} {'pass' if epoch == 1 else 'passes'}, the last that both completed,"
    places = " and ".join(f"{_name(n)} {percent(then[n['arch']]['done'])}" for n in (better, worse))
    schedule = f"(of their schedules they had then done: {places})"
    if one == other:
        return f"{passes} both had {percent(one)} of the validation pictures right {schedule}."
    ahead = max((a, b), key=lambda network: network["top1"]["mean"])
    verdict = (
        "its lead at the end is not of speed alone"
        if ahead is better
        else f"the lead of {_name(ahead)} at the end comes from the passes it had beyond"
    )
    if a["top1"]["mean"] == b["top1"]["mean"]:
        verdict = "at the end that is made up for"
    return (
        f"{passes} {_name(better)} had {percent(one)} of the validation pictures right and {_name(worse)} "
        f"{percent(other)} {schedule}: {verdict}."
    )


def _generalise(a: Document, b: Document, test: int) -> str | None:
    """The gaps between training and test pictures."""
    gaps = [network["gap"]["train_minus_test"] for network in (a, b)]
    if None in gaps:
        return None
    each = [
        f"{_name(n)} gets {percent(n['train_top1']['mean'])} of its training and {percent(n['top1']['mean'])} of the "
        f"test pictures right, a gap of {points(gap)}"
        for n, gap in zip((a, b), gaps, strict=True)
    ]
    overfitted = [n for n, gap in zip((a, b), gaps, strict=True) if gap >= OVERFITTING and _beyond_chance(n, test)]
    if not overfitted:
        verdict = "no sign of overfitting in either"
    else:
        verdict = f"a sign of overfitting in {'both' if len(overfitted) == 2 else _name(overfitted[0])}"
    return f"{'; '.join(each)}: {verdict}."


def _beyond_chance(network: Document, test: int) -> bool:
    """Whether the training accuracy lies above what so many test pictures leave possible for new ones."""
    return bool(network["train_top1"]["mean"] > wilson(round(network["top1"]["mean"] * test), test)[1])


def _classes(a: Document, b: Document) -> str:
    """The classes at which each is furthest ahead, by recall."""
    apart = [
        (one["recall"] - other["recall"], one["class"], one["recall"], other["recall"])
        for one, other in zip(a["per_class"], b["per_class"], strict=True)
        if one["support"]
    ]
    most, least = max(apart), min(apart)
    if most[0] <= 0 and least[0] >= 0:
        return "Neither is ahead at any class."
    if most[0] <= 0 or least[0] >= 0:
        ahead, (_, at, one, other) = (a, most) if least[0] >= 0 else (b, least)
        one, other = max(one, other), min(one, other)
        return f'{_name(ahead)} is behind at no class, and furthest ahead at "{named(at)}" ({_recalls(one, other)}).'
    return (
        f'{_name(a)} is furthest ahead at "{named(most[1])}" ({_recalls(most[2], most[3])}), {_name(b)} at '
        f'"{named(least[1])}" ({_recalls(least[3], least[2])}).'
    )


def _recalls(one: float, other: float) -> str:
    return f"{percent(one)} of its pictures found against {percent(other)}"


def _together(pair: Document, test: int) -> str:
    """What the two know together."""
    either = test - pair["neither"]
    only = pair["only_a"] + pair["only_b"]
    return (
        f"Both are right about {whole(pair['both'])} of the {whole(test)} test pictures, one of them about "
        f"{whole(only)} and neither about {whole(pair['neither'])}: whoever always asked the right one of the two "
        f"would get {percent(either / test)}."
    )


def _times(network: Document) -> str:
    epochs = decimal(network["epochs"], 1).removesuffix(".0")
    return "once" if epochs == "1" else f"{epochs} times"


def _name(network: Document) -> str:
    return named(network["arch"])
