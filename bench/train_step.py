"""Training: Sightline's loop against a bare PyTorch channels-last loop of the same network, resnet20 on 32x32.

    python bench/train_step.py [--processes 7] [--steps 120] [--json out.json]

Ours reads uint8 batches of 128 from the pixel cache, mirrors and crops them, normalises, counts, and checks the loss;
the bare loop only repeats forward, backward and step on one ready float batch. Both in float32, a step each by turns: a
machine whose speed wanders over seconds slows both alike; in several processes, as where a process happens to lie in
memory is worth a percent or two either way. The share of the data pipeline is what our loop spends waiting for pixels,
distorting and normalising. Pictures are random: the time of a step does not depend on them.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from figures import Figure, parser, tell

from sightline.core.machine import cpu_quota
from sightline.core.progress import SILENT
from sightline.data.augment import standard
from sightline.data.loaders import Loader
from sightline.data.preprocess import Preprocess
from sightline.models import create
from sightline.training.checkpoint import State
from sightline.training.loop import Tally, Training
from sightline.training.recipe import Recipe
from sightline.training.train import Normalise, make_fabric

BATCH, SIZE, CLASSES = 128, 32, 10
WARM = 5


class Random:
    """Random pixels, as many as CIFAR-10's first batch has."""

    def __init__(self) -> None:
        self.pixels = np.random.default_rng(0).integers(0, 256, (10_000, SIZE, SIZE, 3), np.uint8)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The pixels of `rows`."""
        return self.pixels[rows]


class Stopwatch:
    """Counts the seconds spent in what it wraps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, work: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
        """`work`, timed."""

        def timed(x: torch.Tensor) -> torch.Tensor:
            began = time.perf_counter()
            y = work(x)
            self.seconds += time.perf_counter() - began
            return y

        return timed


def ours(folder: Path, pixels: Random) -> Training:
    """Everything `sightline train` works with."""
    recipe = Recipe.of(epochs=1, precision="32").fitted(10_000, ("cat", "dog"))
    fabric = make_fabric("cpu", "32")
    network = create("resnet20", num_classes=CLASSES).to(memory_format=torch.channels_last)
    model, optimizer = fabric.setup(network, recipe.make_optimizer(network))
    rows, labels = np.arange(10_000), np.random.default_rng(1).integers(0, CLASSES, 10_000)
    return Training(
        fabric=fabric,
        model=model,
        optimizer=optimizer,
        recipe=recipe,
        loader=Loader(pixels, rows, labels, BATCH, shuffle=True),
        validation=Loader(pixels, rows[:0], labels[:0], BATCH),
        augment=standard(SIZE, mirror=True, crop=True),
        normalise=Normalise(Preprocess(SIZE)),
        checkpoints=folder,
        progress=SILENT,
        report=lambda state: None,
    )


def our_steps(training: Training) -> Iterator[None]:
    """Everything an epoch does in a step, again and again; the sums are read after every one, not after every tenth."""
    training.model.train()
    for epoch in itertools.count():
        state, tally = State(epoch=epoch), Tally()
        for images, labels in training.loader.epoch(epoch):
            tally.add(*training.step(images, labels, state, 0.5))
            state.step += 1
            tally.shown()
            yield


def bare_steps(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Forward, backward and step on one ready batch, again and again."""
    x = torch.rand(BATCH, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    y = torch.randint(0, CLASSES, (BATCH,))
    model.train()
    while True:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y, label_smoothing=0.1).backward()
        optimizer.step()
        yield


def seconds_of(steps: Iterator[None]) -> float:
    """Seconds of the next step."""
    began = time.perf_counter()
    next(steps)
    return time.perf_counter() - began


def measured(steps: int) -> tuple[float, float, float]:
    """Seconds of a step of ours and of the bare loop, medians; per cent of ours that are the data pipeline's."""
    torch.set_num_threads(cpu_quota())
    bare = create("resnet20", num_classes=CLASSES).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(bare.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
    with tempfile.TemporaryDirectory() as folder:
        training, watch = ours(Path(folder), Random()), Stopwatch()
        training.augment = watch.around(training.augment)
        training.normalise = watch.around(training.normalise)  # type: ignore[assignment]
        mine, theirs = our_steps(training), bare_steps(bare, optimizer)
        for _ in range(WARM):
            next(mine), next(theirs)
        watch.seconds, training.loader.waited_seconds = 0.0, 0.0
        pairs = [(seconds_of(mine), seconds_of(theirs)) for _ in range(steps)]
    our_time, bare_time = (statistics.median(side) for side in zip(*pairs, strict=True))
    share = (watch.seconds + training.loader.waited_seconds) / sum(mine for mine, _ in pairs)
    return our_time, bare_time, 100 * share


def main() -> None:
    """Measure and tell."""
    arguments = parser(__doc__)
    arguments.add_argument("--processes", type=int, default=7)
    arguments.add_argument("--steps", type=int, default=120)
    options = arguments.parse_args()
    alone = ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1)
    with alone:
        runs = list(alone.map(measured, [options.steps] * options.processes))
    our_time, bare_time, share = (statistics.median(column) for column in zip(*runs, strict=True))
    ratios = sorted(bare / mine for mine, bare, _ in runs)
    ratio = statistics.median(ratios)
    figures = [
        Figure(
            "resnet20 training, images/s, ours over bare",
            f"{BATCH / our_time:.0f}/s",
            f"{BATCH / bare_time:.0f}/s",
            ratio,
            ">= 0.97",
        ),
        Figure("data pipeline's share of a step", f"{share:.2f} %", "", share, "<= 3", " %"),
    ]
    n = (
        f"medians of {options.processes} processes of {options.steps} steps of {BATCH} pictures each side, "
        f"ratios {ratios[0]:.3f} to {ratios[-1]:.3f}"
    )
    tell("train_step", "Training step against a bare PyTorch loop", figures, n, options.json)


if __name__ == "__main__":
    main()
