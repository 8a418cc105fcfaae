"""Networks in NumPy against PyTorch, and MNIST from the files to 99 %.

    python bench/scratch.py MNIST [--rounds 5] [--json out.json]

Each side measures in a process of its own, by turns: a machine whose speed wanders slows both alike, and the threads
of one are not in the way of the other. Steps are forward, loss, backward and SGD with Nesterov's momentum on ready
pictures, batch 128; PyTorch is eager, for lenet in its usual layout (and, beside it, channels last), for the others
channels last. MNIST is `sightline scratch train` from the IDX files on, three seeds, the first with checking and
decoding; the time is the whole command's.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from figures import Figure, parser, tell

from sightline.core.machine import keeping_freed_memory

BATCH, SECONDS, SEEDS = 128, 3.0, (0, 1, 2)
Step = Callable[[], Any]
# name, pictures at once, their side and channels, classes
WORK = {
    "lenet": (BATCH, 28, 1, 10),
    "resnet20": (BATCH, 32, 3, 10),
    "resnet50": (1, 224, 3, 1000),
}


def drawn(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures [N, S, S, C] and labels for a step of network `name`."""
    count, side, channels, classes = WORK[name]
    random = np.random.default_rng(0)
    return random.standard_normal((count, side, side, channels)).astype(np.float32), random.integers(0, classes, count)


def ours(name: str) -> Step:
    """A step in NumPy: of training, or of resnet50 an answer."""
    from sightline.scratch.architectures import make
    from sightline.scratch.functional import cross_entropy, one_thread_a_product
    from sightline.scratch.optim import SGD

    (pictures, labels), (_, side, channels, classes) = drawn(name), WORK[name]
    network = make(name, classes=classes, channels=channels, size=side)
    network.initialise(0)
    optimizer = SGD(0.9, nesterov=True)

    def step() -> None:
        with one_thread_a_product():
            _, gradient = cross_entropy(network.forward(pictures, training=True), labels)
            network.backward(gradient)
            optimizer.step(network.parameters, network.gradients, 1e-3)

    return (lambda: network.forward(pictures)) if name == "resnet50" else step


def theirs(name: str, *, last: bool) -> Step:
    """A step in PyTorch, its channels `last` or in its usual layout."""
    import torch
    from torch import nn

    from sightline.models import create

    arrays, labels = drawn(name)
    layout: Any = torch.channels_last if last else torch.contiguous_format
    if name == "lenet":
        network: nn.Module = nn.Sequential(
            nn.Conv2d(1, 16, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(16, 32, 5), nn.MaxPool2d(2), nn.ReLU(),
            nn.Flatten(), nn.Linear(512, 128), nn.ReLU(), nn.Linear(128, 10),
        )  # fmt: skip
    else:
        network = create(name, num_classes=WORK[name][3])
    network = network.to(memory_format=layout)  # type: ignore[call-overload]
    pictures = torch.from_numpy(arrays).permute(0, 3, 1, 2)
    if not last:
        pictures = pictures.reshape(len(pictures), *pictures.shape[1:]).clone(memory_format=torch.contiguous_format)
    targets = torch.from_numpy(labels)
    if name == "resnet50":
        network.eval()
        return lambda: _inferred(network, pictures)
    optimizer = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.9, nesterov=True)

    def step() -> None:
        loss = nn.functional.cross_entropy(network(pictures), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _inferred(network: Any, pictures: Any) -> Any:
    import torch

    with torch.inference_mode():
        return network(pictures)


def speed(name: str, side: str) -> float:
    """Images a second of `side`, in this process: the median of some seconds' steps."""
    step = ours(name) if side == "ours" else theirs(name, last=side == "channels last")
    taken: list[float] = []
    with keeping_freed_memory() if side == "ours" and name != "resnet50" else nullcontext():  # as `fit` does
        for _ in range(2):
            step()
        while sum(taken) < SECONDS:
            began = time.perf_counter()
            step()
            taken.append(time.perf_counter() - began)
    return WORK[name][0] / statistics.median(taken)


def measured(name: str, sides: list[str], rounds: int) -> dict[str, list[float]]:
    """The speeds of all `sides`, each in a process of its own, by turns."""
    found: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            command = [sys.executable, __file__, "--measure", name, side]
            found[side].append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    return found


def ratio(found: dict[str, list[float]], peer: str) -> float:
    """Ours over the peer's, the median over the rounds."""
    return statistics.median(a / b for a, b in zip(found["ours"], found[peer], strict=True))


def mnist(data: str, folder: Path) -> list[dict[str, float]]:
    """What each seed comes to: test accuracy, seconds of the whole command, peak memory in GB."""
    found = []
    for seed in SEEDS:
        words = ["scratch", "train", data, "--network", "lenet", "--seed", str(seed), "--out", f"run-{seed}", "--json"]
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "sightline.cli", *words], cwd=folder, check=True, capture_output=True, text=True
        )
        seconds = time.perf_counter() - began
        document = json.loads(done.stdout)
        results = document["run"]["results"]
        found.append(
            {
                "seed": seed,
                "top1": document["evaluation"]["top1"],
                "seconds": seconds,
                "train_seconds": results["train_seconds"],
                "peak_gb": results["peak_memory_bytes"] / 1e9,
            }
        )
    return found


def main() -> None:
    """Measure and tell."""
    arguments = parser(__doc__)
    arguments.add_argument("mnist", help="a folder of MNIST's IDX files")
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    lenet = measured("lenet", ["ours", "usual layout", "channels last"], options.rounds)
    resnet20 = measured("resnet20", ["ours", "channels last"], options.rounds)
    resnet50 = measured("resnet50", ["ours", "channels last"], options.rounds)
    with tempfile.TemporaryDirectory() as folder:
        digits = mnist(str(Path(options.mnist).resolve()), Path(folder))

    def told(found: dict[str, list[float]], side: str) -> str:
        return f"{statistics.median(found[side]):,.3g}/s"

    def each(form: str, key: str) -> str:
        return ", ".join(form.format(one[key]) for one in digits)

    def compared(what: str, found: dict[str, list[float]], peer: str, goal: str) -> Figure:
        return Figure(f"{what} / PyTorch, {peer}", told(found, "ours"), told(found, peer), ratio(found, peer), goal)

    worst, longest, largest = (
        min(one["top1"] for one in digits), max(one["seconds"] for one in digits), max(one["peak_gb"] for one in digits)
    )  # fmt: skip
    figures = [
        compared("lenet trains", lenet, "usual layout", ">= 1"),
        compared("resnet20 trains", resnet20, "channels last", ">= 0.5"),
        compared("resnet50 answers one picture", resnet50, "channels last", ">= 0.5"),
        Figure("MNIST, test accuracy, the worst seed", each("{:.2%}", "top1"), "", worst, ">= 0.99"),
        Figure("MNIST, from the files to the tested bundle", each("{:.0f} s", "seconds"), "", longest, "<= 120", " s"),
        Figure("MNIST, peak memory", each("{:.2f} GB", "peak_gb"), "", largest, "<= 1", " GB"),
    ]
    n = (
        f"{options.rounds} rounds of {SECONDS:.0f} s a side, each in a process of its own; beside it PyTorch trains "
        f"lenet channels last at {told(lenet, 'channels last')} (ours {ratio(lenet, 'channels last'):.2f} of that); "
        f"MNIST with seeds {', '.join(map(str, SEEDS))}, its steps alone took {each('{:.0f} s', 'train_seconds')}"
    )
    tell("scratch", "Networks in NumPy", figures, n, options.json, mnist=digits)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(speed(sys.argv[2], sys.argv[3]))
    else:
        main()
