"""What a learning curve says, in words: whether more pictures would help, and what learning them is worth.

More pictures are said to help when the last doublings have brought more than chance explains (the interval of the line
through them lies above zero) and the very last step still rose; to help little, or hardly at all, when that interval
ends below one point. Everything else is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from sightline.core.errors import named
from sightline.core.wording import interval, percent, points, points_interval, whole

LITTLE = 0.01  # of the pictures, a doubling: not worth collecting for
NBSP = "\u00a0"

Verdict = Literal["help", "little", "hardly", "open", "nothing left"]
_Document = Mapping[str, Any]


def verdict(curve: _Document) -> Verdict:
    """Whether more pictures would help the method of `curve`, one of a document's curves."""
    trend = curve["trend"]
    doubling = trend["doubling"]
    if curve["levels"][-1]["mean"] == 1:
        return "nothing left"
    if doubling["low"] > 0 and trend["last_step"]["mean"] > 0:
        return "little" if doubling["high"] < LITTLE else "help"
    return "hardly" if doubling["high"] < LITTLE else "open"


def findings(document: _Document) -> list[str]:
    """Sentences about a learning-curve document: more pictures, what there is, and the hand-engineered features."""
    network, handmade = document["curves"]
    name = named(document["arch"])
    found = [_more(network), _stands(name, network, document), _against(name, network, handmade, document["leads"])]
    if document["split"] == "validation":
        found.append(
            "There are no test pictures: all this is measured on validation pictures, which also chose each training's "
            "penalty or epoch, and looks a little better than it is."
        )
    if len(document["seeds"]) == 1:
        found.append("One drawing of the pictures was tried; how much hangs on which they are, --seeds 3 would show.")
    return found


def _more(network: _Document) -> str:
    """Whether more pictures would help."""
    trend, last = network["trend"], network["levels"][-1]
    flat = trend["doubling"]["low"] > 0 and trend["last_step"]["mean"] <= 0
    said, doubt = {
        "help": ("More pictures would help", ""),
        "little": ("More pictures would help, but little", ""),
        "hardly": ("More pictures like these would hardly help", ""),
        "open": (
            "Whether more pictures would help is open",
            ", but the last step nothing" if flat else ", which may be chance",
        ),
        "nothing left": ("Whether more pictures would help cannot be seen on pictures that are all right already", ""),
    }[verdict(network)]
    return (
        f"{said}: each doubling from {whole(trend['from_pictures'])} to {whole(last['pictures'])} has brought "
        f"{_points(trend['doubling'])}{doubt}."
    )


def _stands(name: str, network: _Document, document: _Document) -> str:
    """What all pictures bring, and what twice as many would, where that can be told."""
    last, twice = network["levels"][-1], network["trend"]["twice"]
    now = (
        f"From all {whole(last['pictures'])} pictures {name} gets {_share(last)} of the {whole(document['n'])} "
        f"{document['split']} pictures right"
    )
    if twice is None:
        return f"{now}."
    return (
        f"{now}; from {whole(2 * last['pictures'])} about {_share(twice)} can be expected, if its mistakes go on as "
        "they have, as a power of the number of pictures."
    )


def _against(name: str, network: _Document, handmade: _Document, leads: list[_Document]) -> str:
    """From how many pictures on the network is ahead of the hand-engineered features, and with how many level."""
    mine, theirs, lead = network["levels"][-1], handmade["levels"][-1], leads[-1]
    both = f"{percent(mine['mean'])} against {percent(theirs['mean'])} from all {whole(mine['pictures'])} pictures"
    if lead["high"] < 0:
        return f"Hand-engineered features are better than {name}: {both}, a difference of {_points(lead)}."
    if lead["low"] <= 0:
        return f"{name} and hand-engineered features cannot be told apart: {both}, a difference of {_points(lead)}."
    behind = [one["pictures"] for one in leads if one["high"] < 0]
    not_ahead = [number for number, one in enumerate(leads) if one["low"] <= 0]
    first = not_ahead[-1] + 1 if not_ahead else 0
    since = f"from {whole(leads[first]['pictures'])} pictures on" + ("" if first else ", the fewest tried")
    until = f" (up to {whole(behind[-1])} it is behind)" if behind else ""
    level = next(one for one in network["levels"] if one["mean"] >= theirs["mean"])
    enough = f"; from {whole(level['pictures'])} it does what they do from all" if level is not mine else ""
    return f"{name} is ahead of hand-engineered features {since}{until}: {both}{enough}."


def _share(estimate: _Document) -> str:
    return f"{percent(estimate['mean'])} (95{NBSP}% interval {interval(estimate)})"


def _points(estimate: _Document) -> str:
    return f"{points(estimate['mean'])} (95{NBSP}% interval {points_interval(estimate)})"
