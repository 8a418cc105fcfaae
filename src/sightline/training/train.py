"""Training: a Dataset, a network and a Recipe to a Run that ends in a verified Bundle."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning_fabric import Fabric

from sightline.anatomy.macs import count_macs
from sightline.core.errors import UserError, named
from sightline.core.machine import PeakMemory, cpu_quota, describe, versions
from sightline.core.progress import SILENT, Progress
from sightline.data.augment import standard
from sightline.data.dataset import Dataset
from sightline.data.loaders import Loader
from sightline.data.pixels import Pixels
from sightline.data.preprocess import Preprocess
from sightline.export.onnx import export
from sightline.models import Network, architecture, create
from sightline.run import Run
from sightline.training.checkpoint import State, load_checkpoint
from sightline.training.journal import Journal
from sightline.training.loop import Diverged, Interrupted, Training
from sightline.training.recipe import Recipe

CACHE_BYTES = 2 << 30
GOLDEN = 8
PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "32": "32-true",
    "bf16": "bf16-mixed",
    "16": "16-mixed",
}
SIZES = (16, 32, 64, 128, 224)
Device = Literal["auto", "cpu", "cuda", "mps"]


def train(
    dataset: Dataset,
    arch: str,
    recipe: Recipe,
    out: Path,
    *,
    workers: int | None = None,
    progress: Progress = SILENT,
    **options: Any,
) -> Run:
    """Train network `arch` on the training pictures of `dataset` and leave everything in the directory `out`.

    `options` are `arguments_of`'s. The Bundle holds the epoch with the best validation. Raises UserError for an unknown
    network, a dataset without training pictures or a loss that diverged, and KeyboardInterrupt when asked to stop, with
    the checkpoint written.
    """
    arguments = arguments_of(dataset, arch, recipe, **options)
    make_fabric(arguments["device"], recipe.precision)  # a device that is not there is said before anything is written
    run = Run.create(out, _document(dataset, arguments))
    return _carry_out(run, dataset, workers, progress)


def arguments_of(
    dataset: Dataset,
    arch: str,
    recipe: Recipe,
    *,
    size: int | None = None,
    stem: Literal["imagenet", "small"] | None = None,
    style: Literal["torchvision", "paper"] = "torchvision",
    device: Device = "auto",
    cache_bytes: int = CACHE_BYTES,
) -> dict[str, Any]:
    """Everything that decides a training, with every open choice made: what run.json keeps and `resume` goes by.

    `size` (pixels) is the network's own unless the pictures are smaller; the small stem serves up to 64 pixels.
    """
    network = architecture(arch)
    rows = dataset.rows("train")
    if len(rows) == 0:
        raise UserError(f"{named(dataset.path)} has no training pictures: see `sightline data` for what became of them")
    size = size or _fitting_size(dataset, rows, network.size)
    return {
        "arch": arch,
        "size": size,
        "stem": stem or next((s for s in network.stems if (s == "small") == (size <= 64)), network.stems[0]),
        "style": style,
        "device": device,
        "cache_bytes": cache_bytes,
        "data": str(dataset.path),
        "recipe": recipe.fitted(len(rows), dataset.classes).model_dump(),
    }


def resume(run: Run, *, workers: int | None = None, progress: Progress = SILENT) -> Run:
    """Continue `run` where its last checkpoint stands, with the arguments it was started with.

    Raises UserError when the run is done, or its data is gone or has changed.
    """
    if run.document["status"] == "done":
        raise UserError(f"{named(run.path)} is finished: nothing to resume")
    dataset = Dataset.open(Path(run.document["arguments"]["data"]))
    fingerprint = run.document["data"]["fingerprint"]
    if dataset.fingerprint != fingerprint:
        raise UserError(
            f"the data in {named(dataset.path)} changed since {named(run.path)} began "
            f"({fingerprint[:12]} then, {dataset.fingerprint[:12]} now): train a new run"
        )
    return _carry_out(run.update(status="running"), dataset, workers, progress)


def _document(dataset: Dataset, arguments: dict[str, Any]) -> dict[str, Any]:
    """What run.json says when the training begins."""
    counts = {split: len(dataset.rows(split)) for split in ("train", "validation", "test")}
    return {
        "format": 1,
        "status": "running",
        "arguments": arguments,
        "seed": arguments["recipe"]["seed"],
        "versions": versions(),
        "machine": describe(),
        "data": {
            "name": dataset.name,
            "path": str(dataset.path),
            "fingerprint": dataset.fingerprint,
            "classes": list(dataset.classes),
            "counts": counts,
        },
        "results": {},
    }


def _carry_out(run: Run, dataset: Dataset, workers: int | None, progress: Progress) -> Run:
    """Train, measure memory, end in a Bundle; keep run.json's status true whatever happens."""
    try:
        with PeakMemory() as memory:
            training, preprocess = _prepare(run, dataset, workers, progress)
            state = training.run()
    except Interrupted:
        run.update(status="interrupted")
        raise Interrupted(f"`sightline train --resume {named(shlex.quote(str(run.path)))}` continues") from None
    except Diverged:
        run.update(status="diverged")
        raise
    peak_bytes = torch.cuda.max_memory_allocated() if training.fabric.device.type == "cuda" else memory.peak_bytes
    return _finish(run, dataset, training, preprocess, state, peak_bytes)


def _prepare(run: Run, dataset: Dataset, workers: int | None, progress: Progress) -> tuple[Training, Preprocess]:
    """Everything the loop works with, from what run.json says."""
    arguments, recipe = run.document["arguments"], Recipe.of(**run.document["arguments"]["recipe"])
    train_rows, validation_rows = dataset.rows("train"), dataset.rows("validation")
    plain = _plain_preprocess(dataset, train_rows, arguments["size"])
    pixels = Pixels(dataset, plain, budget_bytes=arguments["cache_bytes"], workers=workers, progress=progress)
    preprocess = _normalised(plain, pixels, train_rows)

    torch.set_num_threads(cpu_quota())
    fabric = make_fabric(arguments["device"], recipe.precision)
    torch.manual_seed(recipe.seed)
    network = _network(run, preprocess).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model, optimizer = fabric.setup(network, recipe.make_optimizer(network))
    batch = recipe.batch_size or 1
    training = Training(
        fabric=fabric,
        model=model,
        optimizer=optimizer,
        recipe=recipe,
        loader=Loader(pixels, train_rows, dataset.labels(train_rows), batch, shuffle=True, seed=recipe.seed),
        validation=Loader(pixels, validation_rows, dataset.labels(validation_rows), batch),
        augment=standard(preprocess.size, mirror=bool(recipe.mirror), crop=recipe.crop),
        normalise=Normalise(preprocess).to(fabric.device),
        checkpoints=run.path / "checkpoints",
        progress=progress,
        report=Journal(run).write,
    )
    return training, preprocess


def _finish(
    run: Run, dataset: Dataset, training: Training, preprocess: Preprocess, state: State, peak_bytes: int
) -> Run:
    """Export the best epoch's network, and write the results down."""
    arguments = run.document["arguments"]
    model = _network(run, preprocess)
    load_checkpoint(training.best, model, None)
    best = state.history[state.best_epoch - 1]
    validation = {"top1": best["validation_top1"], "loss": best["validation_loss"]}
    golden_rows = np.concatenate([dataset.rows("validation"), dataset.rows("train")])[:GOLDEN]
    export(
        model.eval(),
        arch=run.arch,
        stem=arguments["stem"],
        style=arguments["style"],
        options={},
        classes=dataset.classes,
        preprocess=preprocess,
        golden_images=training.loader.pixels.read(golden_rows),
        metrics={"validation": validation},
        out=run.path / "bundle",
        replace=True,
    )
    speeds = [row["images_per_s"] for row in state.history]
    results = {
        "epochs": state.epoch,
        "steps": state.history[-1]["step"],
        "best_epoch": state.best_epoch,
        "train_seconds": state.seconds,
        "train_images_per_s": float(np.median(speeds)),
        "waiting_frac": float(np.mean([row["waiting_frac"] for row in state.history])),
        "peak_memory_bytes": peak_bytes,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "macs": count_macs(model, (1, preprocess.channels, preprocess.size, preprocess.size)),
        "validation": validation,
    }
    return run.update(status="done", results=results)


def _network(run: Run, preprocess: Preprocess) -> Network:
    """The network `run` is about, freshly initialised."""
    arguments = run.document["arguments"]
    return create(
        arguments["arch"],
        num_classes=len(run.document["data"]["classes"]),
        in_channels=preprocess.channels,
        stem=arguments["stem"],
        style=arguments["style"],
    )


def make_fabric(device: Device, precision: Literal["auto", "32", "bf16", "16"]) -> Fabric:
    """Fabric on one device. "auto" precision is bfloat16 where the device multiplies it fast, else float32.

    Raises UserError when the device is not there.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: no CUDA device is usable here, use --device cpu")
    if device == "mps" and not torch.backends.mps.is_available():
        raise UserError("--device mps: no Apple GPU is usable here, use --device cpu")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if precision == "16" and device == "cpu":
        raise UserError("--precision 16: a processor has no half precision, use --precision bf16 or 32")
    if precision == "auto":
        precision = "bf16" if _fast_bfloat16(device) else "32"
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    return Fabric(accelerator=device, devices=1, precision=PRECISIONS[precision])


def _fast_bfloat16(device: str) -> bool:
    """Whether `device` has matrix units for bfloat16: recent CUDA cards, and processors with AMX."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16"))


class Normalise(torch.nn.Module):
    """(x - mean) / std by channel, x float [N, C, H, W] in [0, 1]: what the exported graph does with its input."""

    def __init__(self, preprocess: Preprocess) -> None:
        super().__init__()
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", torch.tensor(preprocess.mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(preprocess.std).view(-1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The normalised batch."""
        return (x - self.mean) / self.std


def _fitting_size(dataset: Dataset, rows: np.ndarray, default: int) -> int:
    """The network's own size, or the smallest usual one that the median picture does not exceed."""
    short = float(np.median(np.minimum(dataset.table.width[rows], dataset.table.height[rows])))
    return min(default, next((size for size in SIZES if size >= short), default))


def _plain_preprocess(dataset: Dataset, rows: np.ndarray, size: int) -> Preprocess:
    """The geometry: grey when every training picture looked at is grey; mean 0 and std 1."""
    grey = all(dataset.picture(row).mode == "L" for row in _spread(rows))
    channels = 1 if grey else 3
    return Preprocess(size=size, channels=channels, mean=(0.0,) * channels, std=(1.0,) * channels)


def _normalised(plain: Preprocess, pixels: Pixels, rows: np.ndarray) -> Preprocess:
    """`plain` with the mean and std of up to 1,024 training pictures, by channel; a constant channel keeps std 1."""
    sample = pixels.read(_spread(rows, 1024)).astype(np.float64) / 255
    mean, std = sample.mean(axis=(0, 1, 2)), sample.std(axis=(0, 1, 2))
    std = np.where(std < 1e-3, 1.0, std)
    rounded = {"mean": tuple(round(float(v), 6) for v in mean), "std": tuple(round(float(v), 6) for v in std)}
    return Preprocess.from_dict({**plain.to_dict(), **rounded})


def _spread(rows: np.ndarray, count: int = 32) -> np.ndarray:
    """Up to `count` of `rows`, evenly spread."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
