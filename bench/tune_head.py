"""Head tuning: a MobileNet v2's head for a folder of photos, against its floor and against the usual frozen loop.

    python bench/tune_head.py DATA WEIGHTS [--turns 5] [--json out.json]

The floor is what cannot be left out: every training and validation picture decoded, resized and embedded once by the
runtime. Ours is `train(..., tune="head")` from there to the verified bundle, in this process, with nothing kept from
a turn before but the network's graph, which another process made first ("first head tuning"). The usual loop is what
fastai, timm and Keras do with a frozen backbone, written out in PyTorch: ten epochs of a DataLoader that decodes every
picture again, the backbone evaluated without gradients, the head trained by Adam (learning rate 0.001, batch 32) on
mirrored pictures. Both end measured on the same validation and test pictures.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from figures import Figure, parser, tell
from torch import nn
from torch.utils.data import DataLoader

import sightline
from sightline.core.machine import cpu_quota
from sightline.data.dataset import Dataset
from sightline.data.pixels import Pixels
from sightline.data.preprocess import Preprocess
from sightline.models import create
from sightline.models.pretrained import Weights, find_weights
from sightline.models.weights import load_weights
from sightline.runtime import Session

EPOCHS, BATCH, RATE = 10, 32, 1e-3


class Folder(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """Pictures of a split as a frozen loop reads them: decoded, resized and normalised whenever they are asked for."""

    def __init__(self, dataset: Dataset, split: str, preprocess: Preprocess, mirror: bool) -> None:
        self.dataset, self.preprocess, self.mirror = dataset, preprocess, mirror
        self.rows = dataset.rows(split)
        self.labels = dataset.labels(self.rows)
        self.mean, self.std = (np.asarray(v, np.float32) for v in (preprocess.mean, preprocess.std))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        picture = self.preprocess(self.dataset.picture(self.rows[place])).astype(np.float32) / 255
        if self.mirror and torch.rand(()) < 0.5:
            picture = picture[:, ::-1]
        x = torch.from_numpy(np.ascontiguousarray((picture - self.mean) / self.std)).permute(2, 0, 1)
        return x, int(self.labels[place])


def embedded(dataset: Dataset, session: Session, preprocess: Preprocess) -> float:
    """Seconds to decode and embed every training and validation picture, nothing kept before."""
    began = time.perf_counter()
    pixels = Pixels(dataset, preprocess)
    for split in ("train", "validation"):
        rows = dataset.rows(split)
        for start in range(0, len(rows), BATCH):
            session.run(pixels.read(rows[start : start + BATCH]), only=("embedding",))
    return time.perf_counter() - began


def tuned(data: str, weights: Path, out: Path) -> float:
    """Seconds of tuning a head to a Run at `out`, for a Dataset made anew."""
    dataset = sightline.prepare(data, out.with_name(f"{out.name} data"))
    began = time.perf_counter()
    sightline.train(dataset, weights=weights, tune="head", out=out)
    return time.perf_counter() - began


def frozen_loop(dataset: Dataset, weights: Weights, file: Path) -> tuple[float, dict[str, float]]:
    """Seconds of ten epochs, and right answers on validation and test."""
    preprocess = Preprocess(**weights.preprocess)
    network = create(weights.arch, num_classes=len(dataset.classes), style=weights.choose(None, None)[0]).eval()
    load_weights(network, file)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    head = nn.Linear(network.head.in_features, len(dataset.classes))
    optimizer = torch.optim.Adam(head.parameters(), lr=RATE)

    def loader(split: str, train: bool) -> DataLoader[tuple[torch.Tensor, int]]:
        return DataLoader(
            Folder(dataset, split, preprocess, train), BATCH, shuffle=train, num_workers=cpu_quota(),
            persistent_workers=train,
        )  # fmt: skip

    def right(split: str) -> float:
        with torch.inference_mode():
            hits = [(head(embed(x)).argmax(1) == y).sum() for x, y in loader(split, False)]
        return float(sum(hits)) / len(dataset.rows(split))

    def embed(x: torch.Tensor) -> torch.Tensor:
        return network.embed(network.forward_features(x.contiguous(memory_format=torch.channels_last)))

    train = loader("train", True)
    began = time.perf_counter()
    for _ in range(EPOCHS):
        for x, y in train:
            with torch.no_grad():
                features = embed(x)
            optimizer.zero_grad()
            nn.functional.cross_entropy(head(features.clone()), y).backward()
            optimizer.step()
        right("validation")
    seconds = time.perf_counter() - began
    return seconds, {split: right(split) for split in ("validation", "test")}


def main() -> None:
    """Measure and tell."""
    arguments = parser(__doc__)
    arguments.add_argument("data")
    arguments.add_argument("weights", type=Path)
    arguments.add_argument("--turns", type=int, default=5)
    options = arguments.parse_args()
    torch.set_num_threads(cpu_quota())
    floors, ours, accuracies = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SIGHTLINE_CACHE"] = folder
        sightline.prepare(options.data, Path(folder) / "first")
        weights = find_weights(options.weights, None)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:  # which leaves no garbage here
            first = other.submit(tuned, options.data, options.weights, Path(folder) / "first run").result()
        for turn in range(options.turns + 1):  # the first, which also imports, is not counted
            ours.append(tuned(options.data, options.weights, Path(folder) / f"run{turn}"))
            run = sightline.Run.open(Path(folder) / f"run{turn}")
            bundle = run.bundle()
            dataset = sightline.prepare(options.data, Path(folder) / f"floor{turn}")
            floors.append(embedded(dataset, bundle.session, bundle.preprocess))
            accuracies.append(sightline.evaluate(run)["top1"])
        validation = run.document["results"]["validation"]["top1"]
        seconds, right = frozen_loop(dataset, weights, options.weights)
        counts = {split: len(dataset.rows(split)) for split in ("train", "validation", "test")}
    mine, floor = statistics.median(ours[1:]), statistics.median(floors[1:])
    said = f"{validation:.1%} / {accuracies[-1]:.1%}"
    figures = [
        Figure("head tuning / decode and embed once", f"{mine:.2f} s", f"{floor:.2f} s", mine / floor, "<= 1.15"),
        Figure("ten frozen epochs / head tuning", f"{mine:.2f} s", f"{seconds:.1f} s", seconds / mine, ">= 10"),
        Figure(
            "right on test, ours - frozen loop", said, f"{right['validation']:.1%} / {right['test']:.1%}",
            100 * (accuracies[-1] - right["test"]), ">= 0", " %",
        ),
        Figure("first head tuning / those after", f"{first:.2f} s", f"{mine:.2f} s", first / mine, "<= 4"),
    ]  # fmt: skip
    n = f"{options.turns} turns, {', '.join(f'{count} {split}' for split, count in counts.items())} pictures of 224"
    tell("tune_head", "Head tuning (accuracy: validation / test)", figures, n, options.json)


if __name__ == "__main__":
    main()
