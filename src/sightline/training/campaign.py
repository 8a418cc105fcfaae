"""Campaign: the same recipe for several networks and seeds on one Dataset, as a comparison needs it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sightline.core.errors import UserError, named
from sightline.core.progress import SILENT, Progress
from sightline.core.stopping import Interrupted
from sightline.data.dataset import Dataset
from sightline.run import Run
from sightline.training.recipe import Recipe
from sightline.training.train import arguments_of, resume, train


def campaign(
    dataset: Dataset,
    archs: Sequence[str],
    recipe: Recipe,
    out: Path,
    *,
    seeds: int = 1,
    progress: Progress = SILENT,
    **options: Any,
) -> list[Run]:
    """A Run for each of `archs` and each of `seeds` seeds, `trained` in `out`/ARCH-sSEED; `options` are `train`'s."""
    if seeds < 1:
        raise UserError(f"--seeds {seeds}: at least one is needed")
    runs = []
    for seed in range(recipe.seed, recipe.seed + seeds):
        for arch in archs:
            one = recipe.model_copy(update={"seed": seed})
            runs.append(trained(dataset, arch, one, out / f"{arch}-s{seed}", progress=progress, **options))
    return runs


def trained(
    dataset: Dataset,
    arch: str,
    recipe: Recipe,
    path: Path,
    *,
    workers: int | None = None,
    progress: Progress = SILENT,
    **options: Any,
) -> Run:
    """The finished Run at `path`; `options` are `train`'s.

    One that is there already is kept when it is finished and was started with the same arguments, and resumed when it
    is not finished; UserError when its arguments differ or it diverged, and Interrupted when asked to stop.
    """
    try:
        return _trained(dataset, arch, recipe, path, workers, progress, options)
    except Interrupted:
        raise Interrupted("the same command goes on where this one stood") from None


def _trained(
    dataset: Dataset, arch: str, recipe: Recipe, path: Path, workers: int | None, progress: Progress,
    options: dict[str, Any],
) -> Run:  # fmt: skip
    if not path.exists():
        return train(dataset, arch, recipe, path, workers=workers, progress=progress, **options)
    run = Run.open(path)
    wanted, found = arguments_of(dataset, arch, recipe, **options), run.document["arguments"]
    wanted["data"] = found.get("data")  # the fingerprint says whether it is the same, wherever it lies now
    if run.document["data"]["fingerprint"] != dataset.fingerprint or wanted != found:
        wanted, found = wanted | wanted["recipe"], found | found.get("recipe", {})
        differing = [key for key in wanted if key != "recipe" and wanted[key] != found.get(key)] or ["data fingerprint"]
        raise UserError(
            f"{named(path)} was started otherwise ({', '.join(differing)}): choose another --out, or remove it"
        )
    if run.status == "diverged":
        raise UserError(
            f"{named(path)} diverged and would again: try a lower --lr with another --out, or leave {named(arch)} out"
        )
    return run if run.status == "done" else resume(run, workers=workers, progress=progress)
