"""Training: a Dataset, a network and a Recipe to a Run that ends in a verified Bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from sightline.bundle import GOLDEN_IMAGES
from sightline.core.errors import UserError, named
from sightline.core.machine import PeakMemory, keeping_freed_memory
from sightline.core.progress import SILENT, Progress
from sightline.core.stopping import Diverged
from sightline.data.dataset import Dataset
from sightline.data.fitting import fitting_size, plain_preprocess
from sightline.data.preprocess import Preprocess
from sightline.evaluation.collapse import collapsed
from sightline.exporting.onnx import export
from sightline.models import STYLES, architecture, check_size, learns_from_one
from sightline.models.pretrained import Weights
from sightline.run import Run, begun_on
from sightline.training.calibration import calibrate
from sightline.training.depths import try_depths
from sightline.training.device import Device, make_fabric, spoken
from sightline.training.fit import Fitted, Material, fit, gather
from sightline.training.footprint import Footprint
from sightline.training.inputs import grown, share_of
from sightline.training.recipe import Recipe
from sightline.training.tuning import count

CACHE_BYTES = 2_000_000_000


def train(
    dataset: Dataset,
    arch: str,
    recipe: Recipe,
    out: Path,
    *,
    weights: Weights | None = None,
    workers: int | None = None,
    progress: Progress = SILENT,
    **options: Any,
) -> Run:
    """Train network `arch` on the training pictures of `dataset` and leave everything in the directory `out`.

    `options` are `arguments_of`'s. All layers are trained; from `weights`, those that the recipe's `tune` says, auto
    unless it does. The Bundle holds the epoch with the best validation. Raises UserError for an unknown network,
    weights that do not fit, a dataset without training pictures or a loss that diverged, and KeyboardInterrupt when
    asked to stop, with the checkpoint written.
    """
    arguments = arguments_of(dataset, arch, recipe, weights=weights, **options)
    make_fabric(arguments["device"], recipe.precision)  # a device that is not there is said before anything is written
    if recipe.growing and not arguments["recipe"]["growing"]:
        progress.note(f"{named(arch)} takes no pictures smaller than {arguments['size']} pixels: they do not grow")
    document = _document(dataset, arguments)
    if weights:
        document["weights"] = {**weights.provenance, "keys": _check(weights, dataset, arguments)}
    run = Run.create(out, document)
    return _carry_out(run, dataset, workers, progress)


def arguments_of(
    dataset: Dataset,
    arch: str,
    recipe: Recipe,
    *,
    size: int | None = None,
    stem: str | None = None,
    style: str | None = None,
    device: Device = "auto",
    cache_bytes: int = CACHE_BYTES,
    weights: Weights | None = None,
    share: float = 1.0,
) -> dict[str, Any]:
    """Everything that decides a training, with every open choice made: what run.json keeps and `resume` goes by.

    `size` (pixels) is the network's own unless the pictures are smaller; the small stem serves up to 64 pixels.
    `weights` bring size, stem, style and all of their preprocess along; what else is given goes before. Where a `share`
    of the training pictures is all it trains on, drawn from the recipe's seed, the size still suits all of them.
    """
    network = architecture(arch)
    rows = dataset.rows("train")
    if len(rows) == 0:
        raise UserError(f"{named(dataset.path)} has no training pictures: see `sightline data` for what became of them")
    begun: dict[str, Any] = {}
    if weights:
        preprocess = Preprocess(**(weights.preprocess | ({"size": size} if size else {})))
        size = preprocess.size
        style, stem = weights.choose(style, stem)
        recipe = recipe.model_copy(update={"tune": recipe.tune or "auto"})
        begun = {
            "weights": {"source": weights.source, "sha256": weights.sha256},
            "preprocess": preprocess.to_dict(),
        }
        if recipe.lr == "auto":
            raise UserError(
                "--lr auto tries rates on a network that has learnt nothing yet: leave it out with --weights"
            )
        if recipe.optimizer == "muon" or recipe.growing:
            raise UserError(
                "--recipe fast and Muon are for a network that has learnt nothing yet: leave them out with --weights"
            )
        if recipe.zero_init:
            raise UserError("--zero-init is how blank networks begin: leave it out with --weights")
        if recipe.views > 1 and recipe.tune == "all":
            raise UserError("--keep-views is for layers that are not trained: leave it out with --tune all")
    elif recipe.views > 1:
        raise UserError("--keep-views is for layers that are not trained: give --weights")
    elif recipe.tune:
        raise UserError(f"--tune {recipe.tune} needs a network that has learnt something: give --weights")
    size = size or fitting_size(dataset, rows, network.size)
    stem = stem or next((s for s in network.stems if (s == "small") == (size <= 64)), network.stems[0])
    style = style or STYLES[0]
    check_size(arch, size, stem=stem, style=style)
    if recipe.growing and not _takes(arch, grown(size, recipe.growing, 0), stem=stem, style=style):
        recipe = recipe.model_copy(update={"growing": 0.0})
    channels = (preprocess if weights else plain_preprocess(dataset, rows, size)).channels

    def most(batch: int) -> int:
        if recipe.tune == "head":  # which takes no steps
            return batch
        return Footprint.of(
            arch, classes=len(dataset.classes), channels=channels, size=size, stem=stem, style=style, device=device
        ).most(batch)

    pictures = len(dataset.part(share, recipe.seed).rows("train"))
    fitted = recipe.fitted(pictures, dataset.classes, most, channels=channels)
    if 1 in (fitted.batch_size, pictures) and not learns_from_one(arch, size, stem=stem, style=style):
        raise UserError(
            f"{named(arch)} cannot be trained on one picture of {size} pixels a step, batch norm needs two values: "
            + ("use --batch 2 or more" if pictures > 1 else f"{named(dataset.path)} has no second training picture")
        )
    return {
        "arch": arch,
        "size": size,
        "stem": stem,
        "style": style,
        "device": device,
        "cache_bytes": cache_bytes,
        "data": str(dataset.path),
        "recipe": fitted.model_dump(),
        **begun,
        **({"share": share} if share != 1 else {}),
    }


def resume(run: Run, *, workers: int | None = None, progress: Progress = SILENT) -> Run:
    """Continue `run` where its last checkpoint stands, with the arguments it was started with.

    Raises UserError when the run is done, or its data is gone or has changed.
    """
    check_engine(run)
    dataset = run.unfinished_dataset()
    return _carry_out(run.update(status="running"), dataset, workers, progress)


def check_engine(run: Run) -> None:
    """UserError when `run` was begun in NumPy, which goes on there."""
    if run.in_numpy:
        raise UserError(f"{named(run.path)} was begun in NumPy: `{run.resume_command}` goes on with it")


def _takes(arch: str, size: int, **options: str) -> bool:
    """Whether pictures of `size` pixels are large enough for network `arch`."""
    try:
        check_size(arch, size, **options)
    except UserError:
        return False
    return True


def _check(weights: Weights, dataset: Dataset, arguments: dict[str, Any]) -> dict[str, Any]:
    """What becomes of the weights' keys in this training, before it begins; UserError when they do not fit."""
    report = weights.check(
        num_classes=len(dataset.classes),
        in_channels=arguments["preprocess"]["channels"],
        style=arguments["style"],
        stem=arguments["stem"],
    )
    return report.to_dict()


def _document(dataset: Dataset, arguments: dict[str, Any]) -> dict[str, Any]:
    """What run.json says when the training begins."""
    taken = share_of(dataset, arguments)
    counts = {split: len(taken.rows(split)) for split in ("train", "validation", "test")}
    return begun_on(dataset, arguments, seed=arguments["recipe"]["seed"], counts=counts)


def _carry_out(run: Run, dataset: Dataset, workers: int | None, progress: Progress) -> Run:
    """Train, measure memory, end in a Bundle."""
    with run.attempt():
        if run.document["arguments"]["recipe"]["tune"] == "auto":
            return try_depths(run, lambda depth: _carry_out(depth, dataset, workers, progress))
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        with PeakMemory() as memory, keeping_freed_memory():
            material = gather(run, dataset, workers, progress)
            fitted = fit(material)
        peak_bytes = torch.cuda.max_memory_allocated() if fitted.on_cuda else memory.peak_bytes
        return _finish(material, fitted, peak_bytes)


def _finish(material: Material, fitted: Fitted, peak_bytes: int) -> Run:
    """Export the network as it was at its best, and write the results down."""
    run, dataset, state, model, preprocess = (
        material.run, material.dataset, fitted.state, material.network, material.preprocess
    )  # fmt: skip
    arguments = run.document["arguments"]
    best = state.history[state.best_epoch - 1]
    validation = {figure: best[f"validation_{figure}"] for figure in ("top1", "balanced", "loss")}
    calibrated = calibrate(material, fitted)
    found = calibrated.found
    golden_rows = np.concatenate([dataset.rows("validation"), dataset.rows("train")])[:GOLDEN_IMAGES]
    try:
        bundle = export(
            model.eval(),
            arch=run.arch,
            stem=arguments["stem"],
            style=arguments["style"],
            classes=dataset.classes,
            preprocess=preprocess,
            golden_images=material.pixels.read(golden_rows),
            metrics={
                "validation": validation,
                "calibration": found.figures if found else None,
                "confusion": found.confusion if found else None,
            },
            data={key: run.document["data"][key] for key in ("name", "fingerprint", "counts")},
            weights=run.document.get("weights"),
            out=run.path / "bundle",
            replace=True,
            graph=calibrated.graph,
            experience=found.experience if found else None,
        )
    except UserError as error:  # answers that are not finite, from a loss that was
        raise Diverged(str(error)) from None
    trained, parameters = count(model.parameters())
    results = {
        "epochs": state.epoch,
        "steps": state.history[-1]["step"],
        "best_epoch": state.best_epoch,
        "lr": fitted.rate,
        "device": spoken(arguments["device"]),
        "train_seconds": state.seconds,
        "train_images_per_s": float(np.median([row["images_per_s"] for row in state.history])),
        "waiting_frac": float(np.mean([row["waiting_frac"] for row in state.history])),
        "peak_memory_bytes": peak_bytes,
        "parameters": parameters,
        "trained_parameters": trained,
        "macs": bundle.card["macs"],
        "validation": validation,
        "collapsed": collapsed(best, dataset.labels(dataset.rows("validation"))),
        "calibration": found.figures if found else None,
    }
    return run.update(status="done", results=results)
