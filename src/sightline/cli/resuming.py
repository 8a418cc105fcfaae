"""Resuming a training from the command line: the run's own options hold, and whoever gives others is told which."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.cli.output import Bars, note
from sightline.core.artifact import read_json
from sightline.core.errors import UserError, named
from sightline.core.wording import seconds

if TYPE_CHECKING:
    from sightline.run import Run

OPTIONS = {"data": "DATA", "side": "--size"}  # parameters whose option has another name


def resumed(name: str, wanted: dict[str, Any], workers: int | None) -> Run:
    """The run `name`, carried on to its end. Its own options hold; UserError names what is `wanted` otherwise."""
    from sightline.run import Run
    from sightline.training import resume
    from sightline.training.train import check_engine

    run = Run.open(name)
    check_engine(run)
    differing = differences(run, wanted)
    if differing:
        raise UserError(
            f"{named(run.path)} was begun otherwise: {', '.join(differing)}; leave that out to go on with it, or train "
            "a new run"
        )
    note(f"resuming {named(run.path)}")
    return resume(run, workers=workers, progress=Bars())


def differences(run: Run, wanted: dict[str, Any]) -> list[str]:
    """Every parameter `wanted` that is not what `run` was begun with, as "--lr 0.2 (it has 0.1)"."""
    from sightline.training.recipe import Recipe

    def distortions(text: str) -> Any:
        """Those that `text` comes to, where the run has what it comes to: a preset leaves out what does not suit."""
        asked = Recipe.of(**arguments["recipe"] | {"augment": text})
        classes = tuple(run.document["data"]["classes"])
        come_to = [asked.fitted(1, classes, channels=channels).model_dump()["augment"] for channels in (1, 3)]
        return has["augment"] if has["augment"] in come_to else text

    def pictures(text: str) -> str:
        """The run's Dataset where `text` is it or what it was made from."""
        made_from = None
        with contextlib.suppress(UserError):  # it is gone, which resuming says
            made_from = read_json(Path(arguments["data"]) / "dataset.json", "Dataset").get("source", {}).get("path")
        return arguments["data"] if made_from in (text, os.path.abspath(text)) else os.path.abspath(text)

    def network(text: str) -> str:
        """The run's full name where weights added options to the `text` that was given."""
        return arguments["arch"] if has["weights"] and arguments["arch"].startswith(f"{text}:") else text

    arguments = run.document["arguments"]
    has = {
        **arguments,
        **arguments["recipe"],
        "batch": arguments["recipe"]["batch_size"],
        "budget": arguments["recipe"]["budget_s"],
        "cache_budget": arguments["cache_bytes"] / 1e9,
        "keep_views": arguments["recipe"]["views"],
        "out": str(run.path.resolve()),
        "side": arguments["size"],
        "weights": arguments.get("weights", {}).get("source"),
    }
    read: dict[str, Callable[[Any], Any]] = {
        "arch": network,
        "augment": distortions,
        "budget": seconds,
        "cache_budget": lambda gigabytes: int(gigabytes * 1e9) / 1e9,
        "data": pictures,
        "lr": _number,
        "out": lambda path: str(path.resolve()),
        "weights": lambda text: text if text == has["weights"] else os.path.abspath(text),
    }

    def differs(name: str, value: Any) -> bool:
        return read.get(name, lambda value: value)(value) != has.get(name)

    found = [
        f"{OPTIONS.get(name, '--' + name.replace('_', '-'))} {named(str(value))} (it has {_told(has.get(name))})"
        for name, value in wanted.items()
        if name != "recipe" and differs(name, value)
    ]
    if "recipe" in wanted:
        others = _others(wanted["recipe"], wanted)
        mine = [f"{name} {_told(has.get(name))}" for name, value in others.items() if differs(name, value)]
        found += [f"--recipe {wanted['recipe']} (it has {', '.join(mine)})"] if mine else []
    return found


def _others(recipe: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """What `recipe` sets, or leaves as it is where others set it.

    Without the fields for which something else is `wanted`, and those that a network or the data may change.
    """
    from sightline.training.presets import PRESETS, preset
    from sightline.training.recipe import Recipe

    usual = {name: Recipe.model_fields[name].default for each in PRESETS for name in preset(each)}
    own = preset(recipe)
    fields = own | {name: value for name, value in usual.items() if name not in own and value is not None}
    spoken = {"batch" if name == "batch_size" else name: value for name, value in fields.items()}
    length = {"epochs", "budget"} & wanted.keys()
    return {
        name: value
        for name, value in spoken.items()
        if name not in wanted and name != "growing" and not (length and name == "epochs")
    }


def _told(value: Any) -> str:
    """A value of a run's arguments, of a list of distortions their names."""
    return (
        ", ".join(name for entry in value for name in entry) or "none" if isinstance(value, list) else named(str(value))
    )


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
