"""Training in NumPy: a Dataset and a network's name to a Run that ends in a verified Bundle, like any other."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from sightline.bundle import GOLDEN_IMAGES
from sightline.core.errors import UserError, named
from sightline.core.machine import PeakMemory, cpu_quota
from sightline.core.progress import SILENT, Progress
from sightline.core.stopping import Diverged, stop_signals
from sightline.data.dataset import Dataset
from sightline.data.fitting import fitting_size, plain_preprocess
from sightline.data.fitting import normalised as normalising
from sightline.data.pixels import Pixels
from sightline.data.preprocess import Preprocess
from sightline.evaluation.calibration import Calibration, calibrate, remembered
from sightline.evaluation.collapse import Spread, collapsed
from sightline.exporting.scratch import embedding_of, export_scratch
from sightline.from_scratch.recipe import Recipe
from sightline.run import VALIDATION, Run, begun_on
from sightline.scratch.architectures import make, usual_size
from sightline.scratch.fit import Epoch, fit, quiet
from sightline.scratch.functional import cross_entropy
from sightline.scratch.layers import Linear
from sightline.scratch.network import Network
from sightline.scratch.pictures import normalised

BATCH = 256  # pictures at once, of those that are not trained on


def train(
    dataset: Dataset, arch: str, recipe: Recipe, out: Path, *, size: int | None = None, progress: Progress = SILENT
) -> Run:
    """Train network `arch` in NumPy on the training pictures of `dataset`, and leave everything in the directory `out`.

    `size` (pixels) is the network's own unless the pictures are smaller. The Bundle holds the epoch with the best
    validation. Raises UserError for an unknown network, pictures it cannot take, a dataset without training pictures or
    a loss that diverged, and KeyboardInterrupt when asked to stop, with the checkpoint written.
    """
    rows = dataset.rows("train")
    if not len(rows):
        raise UserError(f"{named(dataset.path)} has no training pictures: see `sightline data` for what became of them")
    size = size or fitting_size(dataset, rows, usual_size(arch))
    arguments = {
        "engine": "numpy",
        "arch": arch,
        "size": size,
        "stem": "small" if size <= 64 else "imagenet",
        "style": "torchvision",
        "data": str(dataset.path),
        "recipe": recipe.fitted(len(rows)).to_dict(),
    }
    channels = plain_preprocess(dataset, rows, size).channels
    made(arguments, len(dataset.classes), channels).forward(np.zeros((1, size, size, channels), np.float32))
    counts = {split: len(dataset.rows(split)) for split in ("train", "validation", "test")}
    run = Run.create(out, begun_on(dataset, arguments, seed=recipe.seed, counts=counts))
    return _carry_out(run, dataset, progress)


def resume(run: Run, *, progress: Progress = SILENT) -> Run:
    """Continue `run` where its last checkpoint stands, with the arguments it was started with.

    UserError when the run is done, was not trained in NumPy, or its data is gone or has changed.
    """
    if not run.in_numpy:
        raise UserError(f"{named(run.path)} was not begun in NumPy: `{run.resume_command}` goes on with it")
    dataset = run.unfinished_dataset()
    return _carry_out(run.update(status="running"), dataset, progress)


def made(arguments: dict[str, Any], classes: int, channels: int) -> Network:
    """The network that a Run's `arguments` say, its numbers drawn."""
    how = {"size": arguments["size"], "small": arguments["stem"] == "small"}
    network = make(arguments["arch"], classes=classes, channels=channels, **how)
    network.initialise(arguments["recipe"]["seed"])
    return network


def _carry_out(run: Run, dataset: Dataset, progress: Progress) -> Run:
    """Train, and end in a Bundle."""
    with run.attempt():
        with stop_signals() as stop, PeakMemory() as memory:
            training = Training(run, dataset, progress)
            history = training.run_to_the_end(stop.is_set)
        with quiet():  # answers that are no numbers are told in words
            return training.finish(history, memory.peak_bytes)


class Training:
    """A Run that is trained: its pictures decoded, its network built."""

    def __init__(self, run: Run, dataset: Dataset, progress: Progress) -> None:
        self.run, self.dataset, self.progress = run, dataset, progress
        arguments = run.document["arguments"]
        self.recipe = Recipe(**arguments["recipe"])
        rows = dataset.rows("train")
        plain = plain_preprocess(dataset, rows, arguments["size"])
        self.pixels = Pixels(dataset, plain, progress=progress)
        self.preprocess: Preprocess = normalising(plain, self.pixels, rows)
        self.network = made(arguments, len(dataset.classes), plain.channels)
        self.checkpoints = run.path / "checkpoints"
        self.rows = run.history()
        self.batch_size: int = arguments["recipe"]["batch_size"]
        self.steps = math.ceil(len(rows) / self.batch_size)  # in an epoch
        self.schedule = self.recipe.make_schedule(self.recipe.epochs * self.steps)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The pictures of manifest `rows` as the network takes them, [B, S, S, channels]."""
        mean, deviation = (np.array(numbers, np.float32) for numbers in (self.preprocess.mean, self.preprocess.std))
        return normalised(self.pixels.read(rows), mean, deviation)

    def run_to_the_end(self, stop: Callable[[], bool]) -> list[Epoch]:
        """All epochs, from the last checkpoint if there is one; then the network is what it was at its best."""
        rows, recipe = self.dataset.rows("train"), self.recipe
        history = fit(
            self.network, rows, self.dataset.labels(rows), epochs=recipe.epochs, optimizer=recipe.make_optimizer(),
            schedule=self.schedule, batch_size=self.batch_size, seed=recipe.seed, prepare=self.read,
            checkpoint=self.checkpoints / "last.safetensors", progress=self.progress, ended=self.ended, stop=stop,
        )  # fmt: skip
        try:
            self.network.load(load_file(self.best))
        except (OSError, SafetensorError):
            raise UserError(f"damaged run: no weights in {named(self.best)}, train it again") from None
        if len(self.rows) != len(history):
            raise UserError(f"damaged run: {named(self.run.path / 'metrics.csv')} lacks epochs, train it again")
        return history

    @property
    def best(self) -> Path:
        """The network of the epoch with the best validation."""
        return self.checkpoints / "best.safetensors"

    def ended(self, number: int, epoch: Epoch) -> None:
        """Measure epoch `number` on the validation pictures, keep the network if none was better, and write it down."""
        trained = {
            "epoch": number,
            "step": number * self.steps,
            "lr": self.schedule(number * self.steps - 1),
            "train_loss": epoch.loss,
            "train_top1": epoch.accuracy,
        }
        speed = len(self.dataset.rows("train")) / epoch.seconds
        row = {**trained, **self.validated(), "images_per_s": speed}
        self.rows = [*self.rows[: number - 1], row]
        if best_of(self.rows) == number:
            self.network.save(self.best)
        self.run.write_history(self.rows)

    def validated(self) -> dict[str, float | None]:
        """What the network measures on the validation pictures; None where there are none."""
        rows = self.dataset.rows("validation")
        if not len(rows):
            return dict.fromkeys(VALIDATION)
        logits, labels = self.answers(rows)[0], self.dataset.labels(rows)
        said = logits.argmax(1)
        spread = Spread.of(said, labels)
        return {
            "validation_loss": cross_entropy(logits.astype(np.float64), labels)[0],
            "validation_top1": float((said == labels).mean()),
            "validation_balanced": spread.recall,
            "validation_commonest": spread.commonest,
        }

    def answers(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits [N, C] and embeddings [N, D] of manifest `rows`."""
        logits, embeddings, wanted = [], [], embedding_of(self.network)

        def watch(name: str, answer: np.ndarray) -> None:
            if name == wanted:
                embeddings.append(answer)

        for start in range(0, len(rows), BATCH):
            logits.append(self.network.forward(self.read(rows[start : start + BATCH]), watch=watch))
        return np.concatenate(logits), np.concatenate(embeddings)

    def calibrated(self) -> Calibration | None:
        """Divide the last layer by the temperature that the validation pictures ask for; None without any."""
        rows, train = self.dataset.rows("validation"), self.dataset.rows("train")
        head = self.network.nodes[self.network.last].layer
        if not len(rows) or not isinstance(head, Linear):
            return None
        logits, embeddings = self.answers(rows)
        if not np.isfinite(logits).all():  # the export says so
            return None
        known = self.answers(remembered(train, self.dataset.labels(train)))[1]
        found = calibrate(logits, self.dataset.labels(rows), self.dataset.classes, embeddings, known)
        for parameter in head.parameters.values():
            parameter /= found.temperature
        return found

    def finish(self, history: list[Epoch], peak_bytes: int) -> Run:
        """Export the network, and write the results down."""
        found, arguments = self.calibrated(), self.run.document["arguments"]
        best = self.rows[best_of(self.rows) - 1]
        validation = {figure: best[f"validation_{figure}"] for figure in ("top1", "balanced", "loss")}
        calibration = found.figures if found else None
        rows = np.concatenate([self.dataset.rows(split) for split in ("validation", "train")])[:GOLDEN_IMAGES]
        try:
            bundle = export_scratch(
                self.network, arch=self.run.arch, stem=arguments["stem"], style=arguments["style"],
                classes=self.dataset.classes, preprocess=self.preprocess, golden_images=self.pixels.read(rows),
                metrics={
                    "validation": validation,
                    "calibration": calibration,
                    "confusion": found.confusion if found else None,
                },
                data={key: self.run.document["data"][key] for key in ("name", "fingerprint", "counts")},
                experience=found.experience if found else None, out=self.run.path / "bundle", replace=True,
            )  # fmt: skip
        except UserError as error:  # answers that are not finite, from a loss that was
            raise Diverged(str(error)) from None
        results = {
            "epochs": len(history),
            "steps": len(history) * self.steps,
            "best_epoch": best["epoch"],
            "lr": self.recipe.lr,
            "device": f"NumPy on {cpu_quota()} processors",
            "train_seconds": sum(epoch.seconds for epoch in history),
            "train_images_per_s": float(np.median([row["images_per_s"] for row in self.rows])),
            "peak_memory_bytes": peak_bytes,
            "parameters": bundle.card["parameters"],
            "macs": bundle.card["macs"],
            "validation": validation,
            "collapsed": collapsed(best, self.dataset.labels(self.dataset.rows("validation"))),
            "calibration": calibration,
        }
        return self.run.update(status="done", results=results)


def best_of(rows: list[dict[str, Any]]) -> int:
    """The number of the epoch with the best validation, the last of equals; without validation the last one.

    One whose loss is no number is none to take while there is another.
    """
    top1, loss = ([row[f"validation_{figure}"] or 0.0 for row in rows] for figure in ("top1", "loss"))
    return max(range(len(rows)), key=lambda place: (math.isfinite(loss[place]), top1[place], -loss[place], place)) + 1
