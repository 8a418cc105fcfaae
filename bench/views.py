"""Ten views of a picture and two networks for one, against what they must cost at least.

    python bench/views.py PHOTOS WEIGHTS [--seconds 60] [--turns 5] [--json out.json]

WEIGHTS are those of a network for 224 pixels, such as MobileNet v2's. Ten views: the one graph that cuts them out of a
picture and averages the answers, against the graph of the single view, by turns on the same pictures, already decoded.
Two networks: WEIGHTS' and a ResNet-18 as one graph, from the files of PHOTOS' training pictures to the answers, against
decoding these once and running the two graphs one after the other on what was decoded.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from figures import Figure, parser, tell

import sightline
from sightline.api import export as export_weights
from sightline.bundle import Bundle
from sightline.core.machine import cpu_quota
from sightline.data.dataset import Dataset
from sightline.data.pixels import Pixels
from sightline.exporting.combined import combine
from sightline.exporting.onnx import export
from sightline.models import create
from sightline.runtime import Session

BATCH = 32
BATCHES = (1, 16)


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def ten_views(bundle: Bundle, batch: int, seconds: float) -> Figure:
    """What ten views cost, in single views."""
    ten = combine([bundle], views="10").bundle
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, (batch, b.preprocess.size, b.preprocess.size, 3), dtype=np.uint8) for b in (bundle, ten)
    ]
    works = [partial(b.session.run, x, only=("logits",)) for b, x in zip((bundle, ten), images, strict=True)]
    for work in works:
        work()
    turns, end = list[tuple[float, ...]](), time.monotonic() + seconds
    while len(turns) < 5 or time.monotonic() < end:
        turns.append(tuple(timed(work) for work in works))
    one, all_ten = (1000 * statistics.median(turn[place] for turn in turns) for place in (0, 1))
    ratio = statistics.median(many / single for single, many in turns)
    what = f"ten views / one, {bundle.arch}, batch {batch}"
    return Figure(what, f"{all_ten:.1f} ms", f"{one:.1f} ms", ratio, "<= 10.5")


def answered(dataset: Dataset, bundle: Bundle) -> None:
    """Every training picture from its file to its logits."""
    pixels, rows = Pixels(dataset, bundle.preprocess), dataset.rows("train")
    for start in range(0, len(rows), BATCH):
        bundle.session.run(pixels.read(rows[start : start + BATCH]), only=("logits",))


def decoded(dataset: Dataset, bundle: Bundle) -> np.ndarray:
    """Every training picture as `bundle` takes it, from its file."""
    return Pixels(dataset, bundle.preprocess).read(dataset.rows("train"))


def run(sessions: Sequence[Session], images: np.ndarray) -> None:
    """All `images` through each graph."""
    for session in sessions:
        for start in range(0, len(images), BATCH):
            session.run(images[start : start + BATCH], only=("logits",))


def two_networks(photos: str, bundles: Sequence[Bundle], turns: int, folder: Path) -> tuple[Figure, int]:
    """What two networks as one cost, against one decoding and both networks; and the number of pictures."""
    both, taken = combine(bundles).bundle, []
    for turn in range(turns):
        datasets = [sightline.prepare(photos, folder / f"data{turn}-{side}") for side in ("ours", "parts")]
        ours = timed(partial(answered, datasets[0], both))
        began = time.perf_counter()
        images = decoded(datasets[1], both)
        decoding = time.perf_counter() - began
        networks = timed(partial(run, [bundle.session for bundle in bundles], images))
        taken.append((ours, decoding, networks))
    ours, decoding, networks = (statistics.median(one[place] for one in taken) for place in range(3))
    ratio = statistics.median(one[0] / (one[1] + one[2]) for one in taken)
    parts = f"{decoding:.2f} + {networks:.2f} s"
    return Figure("two networks as one / one decoding + both", f"{ours:.2f} s", parts, ratio, "<= 1.05"), len(images)


def main() -> None:
    """Measure and tell."""
    arguments = parser(__doc__)
    arguments.add_argument("photos", help="a folder or archive of photos")
    arguments.add_argument("weights", type=Path, help="of a network for 224 pixels")
    arguments.add_argument("--seconds", type=float, default=60, help="how long to measure ten views")
    arguments.add_argument("--turns", type=int, default=5)
    options = arguments.parse_args()
    torch.set_num_threads(cpu_quota())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = export_weights(options.weights, out=folder / "first")
        torch.manual_seed(0)
        second = export(
            create("resnet18", num_classes=len(first.classes)).eval(), arch="resnet18", stem="imagenet",
            style="torchvision", classes=first.classes, preprocess=first.preprocess,
            golden_images=np.zeros((1, 224, 224, 3), np.uint8), metrics={}, out=folder / "second",
        )  # fmt: skip
        figures = [ten_views(first, batch, options.seconds / len(BATCHES)) for batch in BATCHES]
        figure, count = two_networks(options.photos, [first, second], options.turns, folder)
    n = f"ten views: {options.seconds:.0f} s of turns; two networks: {options.turns} turns of {count} photos"
    tell("views", "Many views and many networks", [*figures, figure], n, options.json)


if __name__ == "__main__":
    main()
