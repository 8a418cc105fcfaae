"""Loading beside training: what the loader brings against what the fastest networks of the zoo take, and how they wait.

    python bench/loader.py SMALL PHOTOS [--seconds 10] [--json out.json]

SMALL are pictures of 32 pixels, such as CIFAR-10's; PHOTOS are taken at 224. Each network of CANDIDATES is trained for
an epoch in float32, batches of 128 and 32, pictures mirrored and cropped: the one that takes most pictures a second
is the fastest. The loader alone, with nothing beside it, then brings the same batches, distorted, for some seconds. The
waiting share is the part of the fastest network's epoch in which it waited for a batch. Pictures come from the cache of
decoded ones, as they do from the second epoch on; the first epoch of a training decodes before it begins.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from figures import Figure, parser, tell

import sightline
from sightline.data.augment import Augment, in_full
from sightline.data.dataset import Dataset
from sightline.data.loaders import Loader
from sightline.data.pixels import Pixels
from sightline.data.preprocess import Preprocess
from sightline.run import Run

CANDIDATES = {
    32: ("resnet20", "plain20", "googlenet_small", "alexnet", "mobilenet_v1", "mobilenet_v2", "vgg11"),
    224: ("alexnet", "resnet18", "mobilenet_v1", "mobilenet_v2", "googlenet_small"),
}
BATCHES = {32: 128, 224: 32}


def fastest(dataset: Dataset, size: int, folder: Path) -> Run:
    """The Run of the candidate that takes most pictures a second."""
    runs = []
    for arch in CANDIDATES[size]:
        options: dict[str, Any] = {"size": size, "batch_size": BATCHES[size], "precision": "32", "lr": 0.01}
        runs.append(sightline.train(dataset, arch, epochs=1, out=folder / f"{arch}-{size}", **options))
        print(f"{arch}/{size}: {runs[-1].document['results']['train_images_per_s']:.0f}/s", flush=True)
    return max(runs, key=lambda run: run.document["results"]["train_images_per_s"])


def brought(dataset: Dataset, run: Run, seconds: float) -> float:
    """Pictures a second that the loader of `run` brings where nobody else works."""
    recipe = run.document["arguments"]["recipe"]
    pixels, rows = Pixels(dataset, Preprocess(run.document["arguments"]["size"])), dataset.rows("train")
    augment = Augment(in_full("standard"), len(dataset.classes))
    loader = Loader(pixels, rows, dataset.labels(rows), recipe["batch_size"], shuffle=True, prepare=augment)
    pixels.read(rows)
    count, epoch, began = 0, 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        count += sum(len(labels) for _, labels in loader.epoch(epoch))
        epoch += 1
    return count / (time.perf_counter() - began)


def main() -> None:
    """Measure and tell."""
    arguments = parser(__doc__)
    arguments.add_argument("small", help="pictures of 32 pixels")
    arguments.add_argument("photos", help="photos")
    arguments.add_argument("--seconds", type=float, default=10, help="how long the loader works alone, at each size")
    options = arguments.parse_args()
    figures, counts = [], []
    with tempfile.TemporaryDirectory() as folder:
        for size, source in ((32, options.small), (224, options.photos)):
            dataset = sightline.prepare(source, Path(folder) / f"data{size}")
            run = fastest(dataset, size, Path(folder))
            results, rate = run.document["results"], brought(dataset, run, options.seconds)
            taken = results["train_images_per_s"]
            waits = 100 * results["waiting_frac"]
            figures += [
                Figure(
                    f"loader / {run.arch}, pictures of {size}", f"{rate:.0f}/s", f"{taken:.0f}/s", rate / taken, ">= 4"
                ),
                Figure(f"waiting share of {run.arch}, {size}", f"{waits:.2f} %", "", waits, "<= 3", " %"),
            ]
            counts.append(f"{len(dataset.rows('train')):,} pictures of {size}, {len(CANDIDATES[size])} networks")
    tell("loader", "Loading beside training", figures, "; ".join(counts), options.json)


if __name__ == "__main__":
    main()
