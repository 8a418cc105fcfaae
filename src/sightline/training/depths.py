"""Depths: `--tune auto` trains the same weights at every depth of tuning, and keeps what does best on validation.

The rule is to freeze most where pictures are few and little where they are many. How few is few depends on how far the
pictures are from those the weights were made for, so it is measured. Each depth is a Run of its own, in `depths/` of
the Run that asked, from the most frozen on: the head's optimum costs one look at each picture, and the time that a
budget leaves is shared evenly by those that follow.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sightline.core.artifact import directory
from sightline.core.errors import UserError
from sightline.core.shares import wilson
from sightline.core.stopping import Diverged
from sightline.data.balance import JUDGE
from sightline.run import Run

DEPTHS = ("head", "last", "gradual", "all")
MEASURED = ("validation", "epochs", "trained_parameters", "train_seconds")
SHORTEST = 20.0  # seconds; with less a training spends its budget on validating and exporting


def try_depths(run: Run, carry_out: Callable[[Run], Run]) -> Run:
    """Train at every depth that is not done yet, each a Run that `carry_out` takes to its end, and end `run`.

    A depth that fails, as where the loss diverges or the disk has no room, or for which a budget leaves no time, is
    passed over. Without validation pictures nothing can be measured, and the head alone is fitted.
    """
    depths = DEPTHS if run.document["data"]["counts"]["validation"] else DEPTHS[:1]
    rows = list(run.document["results"].get("depths", []))
    earlier = run.document["results"].get("interrupted_seconds", 0.0)  # that went by in tries of the next depth
    for tune in depths[len(rows) :]:
        spent, began = sum(row["seconds"] for row in rows) + earlier, time.perf_counter()
        try:
            row = _try(run, tune, len(depths) - len(rows), spent, carry_out)
        except KeyboardInterrupt:
            run.update(results={"depths": rows, "interrupted_seconds": earlier + time.perf_counter() - began})
            raise
        rows.append(row | {"seconds": earlier + time.perf_counter() - began})
        run, earlier = run.update(results={"depths": rows}), 0.0
    judge = JUDGE[run.document["arguments"]["recipe"].get("balance", "none")]
    best = max((row for row in rows if row["status"] == "done"), key=lambda row: _merit(row["validation"], judge))
    chosen = Run.open(run.path / best["run"])
    with directory(run.path / "bundle", replace=True) as temporary:
        shutil.copytree(chosen.path / "bundle", temporary, dirs_exist_ok=True)
    run.write_history(chosen.history())
    results = chosen.document["results"] | {
        "train_seconds": sum(row.get("train_seconds", row["seconds"]) for row in rows),
        "depths": [{**row, "chosen": row is best} for row in rows],
    }
    return run.update(status="done", results=results)


def _merit(validation: dict[str, Any], judge: str) -> tuple[float, float]:
    """What the best has most of; of equals the first, most frozen, is taken."""
    score, loss = validation[judge], validation["loss"]
    return (0.0, 0.0) if score is None else (score, -loss)


def _try(run: Run, tune: str, left: int, spent: float, carry_out: Callable[[Run], Run]) -> dict[str, Any]:
    """The row of one depth, the first of `left` ones that share what `spent` seconds leave of a budget."""
    recipe, path = {**run.document["arguments"]["recipe"], "tune": tune}, run.path / "depths" / tune
    if recipe["budget_s"] is not None:
        rest = recipe["budget_s"] - spent
        if tune != DEPTHS[0] and rest < SHORTEST and not path.exists():
            return {"tune": tune, "status": "no time left"}
        recipe["budget_s"] = max(rest / left, SHORTEST)
    try:
        inner = carry_out(_begun(run, path, recipe))
    except UserError as error:
        if tune == DEPTHS[0]:
            raise
        return {"tune": tune, "status": "diverged" if isinstance(error, Diverged) else "failed", "why": str(error)}
    measured = {key: inner.document["results"][key] for key in MEASURED}
    top1, count = measured["validation"]["top1"], run.document["data"]["counts"]["validation"]
    if top1 is not None:
        measured["validation"]["low"], measured["validation"]["high"] = wilson(round(top1 * count), count)
    return {
        "tune": tune,
        "status": "done",
        "run": str(path.relative_to(run.path)),
        **measured,
    }


def _begun(run: Run, path: Path, recipe: dict[str, Any]) -> Run:
    """The Run of a depth: as it was left, or a new one that differs from `run` in its `recipe` alone.

    Which part of the budget it gets differs from seed to seed; `asked_budget_s` is the whole, by which they are one.
    """
    if (path / "run.json").exists():
        return Run.open(path).update(status="running")
    asked = {"asked_budget_s": run.document["arguments"]["recipe"]["budget_s"]}
    arguments = run.document["arguments"] | {"recipe": recipe} | asked
    return Run.create(path, run.document | {"arguments": arguments, "status": "running", "results": {}})
