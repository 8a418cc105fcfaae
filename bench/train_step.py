"""Training: Sightline's loop against a bare PyTorch channels-last loop of the same network, resnet20 on 32x32.

    python bench/train_step.py [--turns 15] [--steps 40] [--json out.json]

Ours reads uint8 batches of 128 from the pixel cache, mirrors and crops them, normalises, counts, and checks the loss;
the bare loop only repeats forward, backward and step on one ready float batch. Both in float32, taking turns after one
turn each that does not count. The share of the data pipeline is what our loop spends waiting for pixels, distorting and
normalising. Pictures are random: the time of a step does not depend on them.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
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


def our_turn(training: Training, steps: int, turn: int) -> float:
    """Seconds of `steps` steps, everything an epoch does in them."""
    training.model.train()
    state, tally = State(epoch=turn), Tally()
    began = time.perf_counter()
    batches = training.loader.epoch(turn)
    for _ in range(steps):
        images, labels = next(batches)
        tally.add(*training.step(images, labels, state, 0.5))
        state.step += 1
        if state.step % 10 == 0:
            tally.shown()
    seconds = time.perf_counter() - began
    batches.close()
    return seconds


def bare_turn(model: torch.nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> float:
    """Seconds of `steps` steps on one ready batch."""
    x = torch.rand(BATCH, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    y = torch.randint(0, CLASSES, (BATCH,))
    model.train()
    began = time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y, label_smoothing=0.1).backward()
        optimizer.step()
    return time.perf_counter() - began


def main() -> None:
    """Measure and tell."""
    arguments = parser(__doc__)
    arguments.add_argument("--turns", type=int, default=15)
    arguments.add_argument("--steps", type=int, default=40)
    options = arguments.parse_args()
    torch.set_num_threads(cpu_quota())
    bare = create("resnet20", num_classes=CLASSES).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(bare.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
    with tempfile.TemporaryDirectory() as folder:
        training, watch = ours(Path(folder), Random()), Stopwatch()
        training.augment = watch.around(training.augment)
        training.normalise = watch.around(training.normalise)  # type: ignore[assignment]
        our_turn(training, options.steps, 0)
        bare_turn(bare, optimizer, options.steps)
        watch.seconds, training.loader.waited_seconds = 0.0, 0.0
        turns = [
            (our_turn(training, options.steps, turn + 1), bare_turn(bare, optimizer, options.steps))
            for turn in range(options.turns)
        ]
    pictures = options.steps * BATCH
    our_speed, bare_speed = (pictures / statistics.median(side) for side in zip(*turns, strict=True))
    ratio = statistics.median(theirs / mine for mine, theirs in turns)
    share = 100 * (watch.seconds + training.loader.waited_seconds) / sum(mine for mine, _ in turns)
    figures = [
        Figure(
            "resnet20 training, images/s, ours over bare", f"{our_speed:.0f}/s", f"{bare_speed:.0f}/s", ratio, ">= 0.97"
        ),
        Figure("data pipeline's share of a step", f"{share:.2f} %", "", share, "<= 3", " %"),
    ]
    n = f"{options.turns} turns of {options.steps} steps of {BATCH} pictures, medians"
    tell("train_step", "Training step against a bare PyTorch loop", figures, n, options.json)


if __name__ == "__main__":
    main()
