"""Training: Sightline's loop against a bare PyTorch channels-last loop, one network of each family, on 32x32.

    python bench/train_step.py [--arch NAME ...] [--processes 5] [--seconds 60] [--json out.json]

Ours reads uint8 batches of 128 from the pixel cache, mirrors and crops them, normalises, counts, and checks the loss;
the bare loop only repeats forward, backward and step on one ready float batch. Both in float32, a step each by turns: a
machine whose speed wanders over seconds slows both alike; in several processes, as where a process happens to lie in
memory is worth a percent or two either way. Both keep the memory they free, as `sightline train` does; a second line
sets the bare loop so against the bare loop with the C library's own way, in as many processes. The share of the data
pipeline is what our loop spends waiting for distorted pixels and normalising them. Pictures are random: the time of a
step does not depend on them.
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
from torch.nn.functional import cross_entropy

from sightline.core.machine import cpu_quota, keeping_freed_memory
from sightline.core.progress import SILENT
from sightline.data.augment import Augment, in_full
from sightline.data.loaders import Loader
from sightline.data.preprocess import Preprocess
from sightline.models import Network, create
from sightline.training.checkpoint import State
from sightline.training.device import make_fabric
from sightline.training.inputs import Normalise
from sightline.training.loop import Tally, Training
from sightline.training.recipe import Recipe

BATCH, SIZE, CLASSES = 128, 32, 10
GOALS = {
    "resnet20": ">= 0.97",
    **dict.fromkeys(("resnet18", "googlenet_small", "alexnet", "vgg11_bn"), ">= 0.95"),
    **dict.fromkeys(("mobilenet_v1", "mobilenet_v2", "efficientnet_b0"), ">= 0.95"),
}
WARM, LEAST = 5, 10


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


def fresh(arch: str) -> Network:
    """A new network for 32x32 pictures, channels last."""
    return create(arch, num_classes=CLASSES, stem="small").to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def ours(arch: str, folder: Path, pixels: Random) -> Training:
    """Everything `sightline train` works with."""
    recipe = Recipe.of(epochs=1, precision="32").fitted(10_000, ("cat", "dog"))
    fabric = make_fabric("cpu", "32")
    network = fresh(arch)
    model, optimizer = fabric.setup(network, recipe.make_optimizer(network))
    rows, labels = np.arange(10_000), np.random.default_rng(1).integers(0, CLASSES, 10_000)
    return Training(
        fabric=fabric,
        network=network,
        model=model,
        optimizer=optimizer,
        recipe=recipe,
        loader=Loader(pixels, rows, labels, BATCH, shuffle=True, prepare=Augment(in_full(recipe.augment), CLASSES)),
        validation=Loader(pixels, rows[:0], labels[:0], BATCH),
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


def bare_steps(arch: str) -> Iterator[None]:
    """Forward, backward and step on one ready batch, again and again."""
    model = fresh(arch)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
    x = torch.rand(BATCH, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    y = torch.randint(0, CLASSES, (BATCH,))
    model.train()
    while True:
        optimizer.zero_grad()
        outputs = model(x)
        logits, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = cross_entropy(logits, y, label_smoothing=0.1)
        for extra in auxiliary:
            loss = loss + 0.3 * cross_entropy(extra, y, label_smoothing=0.1)
        loss.backward()
        optimizer.step()
        yield


def seconds_of(steps: Iterator[None]) -> float:
    """Seconds of the next step."""
    began = time.perf_counter()
    next(steps)
    return time.perf_counter() - began


def measured(arch: str, seconds: float) -> tuple[float, float, float]:
    """Seconds of a step of ours and of the bare loop, medians; per cent of ours that are the data pipeline's."""
    torch.set_num_threads(cpu_quota())
    with tempfile.TemporaryDirectory() as folder, keeping_freed_memory():
        training, watch = ours(arch, Path(folder), Random()), Stopwatch()
        training.normalise = watch.around(training.normalise)  # type: ignore[assignment]
        mine, theirs = our_steps(training), bare_steps(arch)
        for _ in range(WARM):
            next(mine), next(theirs)
        watch.seconds, training.loader.waited_seconds = 0.0, 0.0
        pairs: list[tuple[float, float]] = []
        end = time.monotonic() + seconds
        while time.monotonic() < end or len(pairs) < LEAST:
            pairs.append((seconds_of(mine), seconds_of(theirs)))
    our_time, bare_time = (statistics.median(side) for side in zip(*pairs, strict=True))
    share = (watch.seconds + training.loader.waited_seconds) / sum(mine for mine, _ in pairs)
    return our_time, bare_time, 100 * share


def without_keeping(arch: str, seconds: float) -> float:
    """Seconds of a step of the bare loop that gives freed memory back, the median."""
    torch.set_num_threads(cpu_quota())
    steps = bare_steps(arch)
    for _ in range(WARM):
        next(steps)
    times, end = [seconds_of(steps)], time.monotonic() + seconds
    while time.monotonic() < end or len(times) < LEAST:
        times.append(seconds_of(steps))
    return statistics.median(times)


def figures_of(arch: str, runs: list[tuple[float, float, float]], giving_back: list[float]) -> list[Figure]:
    """The ratio, what keeping freed memory is worth, and for resnet20 the data pipeline's share too."""
    our_time, bare_time, share = (statistics.median(column) for column in zip(*runs, strict=True))
    ratios = sorted(bare / mine for mine, bare, _ in runs)
    what = f"{arch} training, images/s ({ratios[0]:.3f} to {ratios[-1]:.3f})"
    speeds = (f"{BATCH / our_time:.0f}/s", f"{BATCH / bare_time:.0f}/s")
    given_back = statistics.median(giving_back)
    found = [
        Figure(what, *speeds, statistics.median(ratios), GOALS[arch]),
        Figure(
            f"{arch}, a bare step with freed memory kept, and not",
            f"{1000 * bare_time:.0f} ms",
            f"{1000 * given_back:.0f} ms",
            given_back / bare_time,
            ">= 1",
        ),
    ]
    if arch == "resnet20":
        found.append(Figure("data pipeline's share of its step", f"{share:.2f} %", "", share, "<= 3", " %"))
    return found


def main() -> None:
    """Measure and tell."""
    arguments = parser(__doc__)
    arguments.add_argument("--arch", choices=GOALS, action="append")
    arguments.add_argument("--processes", type=int, default=5)
    arguments.add_argument("--seconds", type=float, default=60, help="how long each process measures")
    options = arguments.parse_args()
    figures = []
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as alone:
        for arch in options.arch or GOALS:
            each = [arch] * options.processes, [options.seconds] * options.processes
            figures += figures_of(arch, list(alone.map(measured, *each)), list(alone.map(without_keeping, *each)))
    n = (
        f"medians of {options.processes} processes of {options.seconds:g} s, steps of {BATCH} pictures in turn; the "
        "smallest and largest ratio of a process in brackets"
    )
    tell("train_step", "Training step against a bare PyTorch loop", figures, n, options.json)


if __name__ == "__main__":
    main()
