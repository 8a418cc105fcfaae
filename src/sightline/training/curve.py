"""The learning curve: the same training on ever more of the pictures, beside hand-engineered features on the same ones.

Every share is trained in the batches and for as many steps as all pictures are, so that a difference comes from the
pictures. The hand-engineered features get the classifier that a tuned head gets, its penalty chosen on validation too.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sightline.bundle import WEIGHTS, Bundle
from sightline.core.errors import UserError, named
from sightline.core.machine import describe, versions
from sightline.core.progress import SILENT, Advance, Progress
from sightline.core.wording import percent
from sightline.data.balance import Balance
from sightline.data.dataset import Dataset
from sightline.data.layout import SPLITS
from sightline.data.pixels import Pixels
from sightline.evaluation.answers import answer
from sightline.evaluation.comparison import about
from sightline.evaluation.curve import Trial, curve_of, leads, point
from sightline.evaluation.curve_findings import findings, verdict
from sightline.models import create
from sightline.models.weights import load_weights
from sightline.run import Run
from sightline.training import handmade
from sightline.training.campaign import trained
from sightline.training.frozen import Frozen, embeddings
from sightline.training.head import Aim, Embedded, fit_head, those
from sightline.training.recipe import Recipe
from sightline.training.train import arguments_of

SHARES = (0.05, 0.1, 0.25, 0.5, 1.0)


def learning_curve(
    dataset: Dataset,
    arch: str,
    recipe: Recipe,
    out: Path,
    *,
    seeds: int = 1,
    workers: int | None = None,
    progress: Progress = SILENT,
    **options: Any,
) -> dict[str, Any]:
    """The learning-curve document of `arch` on `dataset`, from a Run a share and seed, in `out`/ARCH-nPICTURES-sSEED.

    Each of `seeds` seeds draws its own pictures; of one seed, a larger share holds the smaller ones. Runs that are
    there are kept or resumed. `options` are `train`'s. UserErrors as `train`'s, and when there are too few pictures for
    two shares, or none to measure on; Interrupted when asked to stop.
    """
    if seeds < 1:
        raise UserError(f"--seeds {seeds}: at least one is needed")
    if recipe.budget_s and recipe.tune != "head":
        raise UserError(
            "a learning curve trains every share of the pictures for as many steps: give --epochs, no --budget"
        )
    batch = arguments_of(dataset, arch, recipe, **options)["recipe"]["batch_size"]  # and what can be told now is
    split, shares, numbers = _measured(dataset), _shares(dataset), range(recipe.seed, recipe.seed + seeds)
    network = []
    for seed in numbers:
        for pictures, share in shares.items():
            one = _as_long(recipe.model_copy(update={"seed": seed}), pictures, max(shares), batch)
            path = out / f"{arch}-n{pictures}-s{seed}"
            with progress.task(f"{pictures:,} pictures, seed {seed}", None) as advance:
                part = _Steps(advance)
                run = trained(dataset, arch, one, path, workers=workers, progress=part, share=share, **options)
                network.append(_trial(run, dataset, split, share, part))
                part.advance(0, **{split: percent(float(network[-1].right.mean()))})
    pixels = _pixels(run, run.bundle(), dataset, progress)
    by_hand = _by_hand(pixels, split, [*shares.values()], numbers, recipe.balance, progress)
    document = {
        "kind": "learning-curve",
        "arch": arch,
        "tune": run.document["arguments"]["recipe"]["tune"],
        "dataset": about(dataset),
        "split": split,
        "n": len(dataset.rows(split)),
        "seeds": list(numbers),
        "points": [point(trial, split) for trial in (*network, *by_hand)],
        "curves": [curve_of(network), curve_of(by_hand)],
        "leads": leads(network, by_hand),
        "handmade": handmade.describe(pixels.preprocess.size, pixels.preprocess.channels),
        "machine": describe(),
        "versions": versions(),
    }
    return {**document, "verdict": verdict(document["curves"][0]), "findings": findings(document)}


def _measured(dataset: Dataset) -> str:
    """The split that everything is measured on: test, or validation where there is no test."""
    for split in ("test", "validation"):
        if len(dataset.rows(split)):
            return split
    raise UserError(
        f"{named(dataset.name)} has neither test nor validation pictures: a learning curve has nothing to measure on"
    )


def _shares(dataset: Dataset) -> dict[int, float]:
    """Each of `SHARES` by how many pictures it is, fewest first; of shares of as many, the largest."""
    counts = {len(dataset.part(share, 0).rows("train")): share for share in SHARES}
    shares = {count: share for count, share in counts.items() if count > 1}
    if len(shares) < 2:
        raise UserError(
            f"{named(dataset.name)} has {max(counts)} training pictures of {len(dataset.classes)} classes: too few for "
            "a learning curve, a share of them would be all of them"
        )
    return shares


def _as_long(recipe: Recipe, pictures: int, everything: int, whole: int) -> Recipe:
    """`recipe` for `pictures` in the batches of `whole` that `everything` takes, and for as many steps."""
    if recipe.tune == "head":  # which knows neither
        return recipe.model_copy(update={"batch_size": whole})
    batch = min(whole, pictures)
    times = max(1, everything // whole) / (pictures // batch)
    longer = {key: math.ceil(n * times) for key in ("epochs", "patience") if (n := getattr(recipe, key))}
    return recipe.model_copy(update={"batch_size": batch, **longer})


@dataclass(frozen=True)
class _Steps:
    """A Progress whose tasks are steps of one task, which `advance` moves on."""

    advance: Advance

    @contextmanager
    def task(self, title: str, total: int | None, unit: str = "images") -> Iterator[Advance]:
        """A step: its units count, its title stands before its figures."""

        def advance(n: int = 1, **figures: str) -> None:
            self.advance(n, **({title: ""} | figures))

        yield advance

    def note(self, text: str) -> None:
        """Nothing to say of one step."""


def _trial(run: Run, dataset: Dataset, split: str, share: float, progress: Progress) -> Trial:
    """What a finished Run of a `share` gets right."""
    rows, results = dataset.rows(split), run.document["results"]
    return Trial(
        method="network",
        share=share,
        pictures=run.document["data"]["counts"]["train"],
        seed=run.seed,
        right=_logits(run, dataset, split, progress).argmax(axis=1) == dataset.labels(rows),
        validation_top1=results["validation"]["top1"],
        seconds=results["train_seconds"],
        run=str(run.path),
    )


def _logits(run: Run, dataset: Dataset, split: str, progress: Progress) -> np.ndarray:
    """A finished Run's answers; those of a tuned head from embeddings that all Runs of the curve share."""
    arguments = run.document["arguments"]
    if arguments["recipe"]["tune"] != "head":
        return answer(run, dataset, split, progress).logits
    bundle = run.bundle()
    network = create(
        bundle.arch,
        num_classes=len(bundle.classes),
        in_channels=bundle.preprocess.channels,
        stem=arguments["stem"],
        style=arguments["style"],
    )
    load_weights(network, bundle.path / WEIGHTS)
    pixels = _pixels(run, bundle, dataset, progress)
    found = embeddings(run, pixels, bundle.session, progress=progress).of(split)
    with torch.inference_mode():
        return network.head(torch.from_numpy(np.array(found))).numpy()


def _pixels(run: Run, bundle: Bundle, dataset: Dataset, progress: Progress) -> Pixels:
    """The pictures as a finished Run sees them, kept where its own are."""
    budget_bytes = run.document["arguments"]["cache_bytes"]
    return Pixels(dataset, bundle.preprocess, budget_bytes=budget_bytes, progress=progress)


def _by_hand(
    pixels: Pixels, split: str, shares: Sequence[float], seeds: Sequence[int], balance: Balance, progress: Progress
) -> list[Trial]:
    """What hand-engineered features of the same pictures get right, the classes balanced alike."""
    dataset, preprocess = pixels.dataset, pixels.preprocess
    source = {"pixels": preprocess.key(), "handmade": handmade.describe(preprocess.size, preprocess.channels)}
    frozen = Frozen(pixels, handmade.features, source, progress)
    known = {name: Embedded(np.array(frozen.of(name)), dataset.labels(dataset.rows(name))) for name in SPLITS}
    trials: list[Trial] = []
    with progress.task("hand-engineered", len(shares) * len(seeds), "trainings") as advance:
        for seed, share in itertools.product(seeds, shares):
            whole = next((trial for trial in trials if trial.share == share == 1), None)
            if whole:  # all pictures are the same for every seed
                trials.append(replace(whole, seed=seed))
            else:
                places = frozen.places(dataset.part(share, seed).rows("train"), "train")
                train = those(known["train"], places)
                aim = Aim.of(balance, train.labels, len(dataset.classes))
                trials.append(_fitted(train, known["validation"], known[split], aim, share, seed))
            advance()
    return trials


def _fitted(train: Embedded, validation: Embedded, measured: Embedded, aim: Aim, share: float, seed: int) -> Trial:
    """A linear classifier of hand-engineered features."""
    began = time.perf_counter()
    head = fit_head(train, validation, aim)
    return Trial(
        method="handmade",
        share=share,
        pictures=len(train.labels),
        seed=seed,
        right=(measured.embeddings @ head.weight.T + head.bias).argmax(axis=1) == measured.labels,
        validation_top1=head.trials[head.best]["validation_top1"],
        seconds=time.perf_counter() - began,
    )
