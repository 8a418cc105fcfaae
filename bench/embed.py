"""Embedding photos from their files, against the bare runtime, and against PyTorch with a DataLoader; and its memory.

    python bench/embed.py PHOTOS WEIGHTS [--turns 3] [--json out.json]

WEIGHTS are those of a network for 224 pixels, such as MobileNet v2's. The bare runtime is given the same pictures
decoded. As decoding takes processors too, the most that can be is what both take together, all processors busy. The
peer reads the same files with Pillow in a DataLoader of as many workers as processors. Memory is that of a process that
embeds 1,000 made pictures of 28 pixels by their pixels, and of one that embeds 100,000.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from figures import Figure, parser, peak_bytes, tell
from PIL import Image
from torch.utils.data import DataLoader

import sightline
from sightline.core.machine import cpu_quota
from sightline.core.threads import in_threads
from sightline.data.pictures import open_picture
from sightline.data.preprocess import Preprocess
from sightline.embedder import ready_made
from sightline.exporting.pixels import export_pixels
from sightline.models import create
from sightline.models.weights import load_weights
from sightline.search.embeddings import BATCH, Embeddings


class Photos(torch.utils.data.Dataset[torch.Tensor]):
    """Files as a network takes them, read by Pillow."""

    def __init__(self, names: list[str], preprocess: Preprocess) -> None:
        self.names, self.preprocess = names, preprocess

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, place: int) -> torch.Tensor:
        pixels = torch.from_numpy(self.preprocess(open_picture(self.names[place])).copy()).permute(2, 0, 1)
        mean, std = (torch.tensor(one)[:, None, None] for one in (self.preprocess.mean, self.preprocess.std))
        return (pixels.float() / 255 - mean) / std


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peak(count: int) -> float:
    """The most memory, in bytes, of a process that embeds so many made pictures."""
    with tempfile.TemporaryDirectory() as folder:
        draw = np.random.default_rng(0)
        for place in range(count):  # files, as a mapped array would count as memory
            Image.fromarray(draw.integers(0, 256, (28, 28), np.uint8)).save(f"{folder}/{place}.png", compress_level=0)
        bundle = export_pixels(Preprocess(28, 1, mean=(0.0,), std=(1.0,)), Path(folder) / "bundle")
        hashes = np.zeros((count, 32), np.uint8)
        hashes[:, :8] = np.arange(count, dtype="<u8")[:, None].view(np.uint8)
        with Embeddings.opened(Path(folder) / "kept", bundle) as kept:
            kept.add(hashes, lambda place: f"{folder}/{place}.png")
    return float(peak_bytes())


def alone(count: int) -> float:
    """`peak` in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(peak, count).result()


def main() -> None:
    """Measure and tell."""
    arguments = parser(__doc__)
    arguments.add_argument("photos", help="a folder or archive of photos")
    arguments.add_argument("weights", type=Path, help="of a network for 224 pixels")
    arguments.add_argument("--turns", type=int, default=3)
    options = arguments.parse_args()
    torch.set_num_threads(cpu_quota())
    bundle = ready_made(options.weights)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = sightline.prepare(options.photos, folder / "photos")
        rows = np.flatnonzero(dataset.table.split != "")
        names = [dataset.name_of(row) for row in rows]
        hashes = dataset.table.sha256[rows]
        network = create(bundle.arch, num_classes=len(bundle.classes), style=bundle.card["style"])
        load_weights(network, options.weights)
        network.eval()

        def read(name: str) -> np.ndarray:
            return bundle.preprocess(open_picture(name))

        def bare() -> None:
            for start in range(0, len(images), BATCH):
                bundle.session.run(images[start : start + BATCH], only=("embedding",))

        def ours(place: Path) -> None:
            with Embeddings.opened(place, bundle) as kept:
                kept.add(hashes, names.__getitem__)

        def theirs() -> None:
            loader = DataLoader(Photos(names, bundle.preprocess), BATCH, num_workers=cpu_quota())
            with torch.inference_mode():
                for batch in loader:
                    network.embed(network.forward_features(batch))

        images = np.stack(list(in_threads(read, names)))
        taken = [
            (timed(lambda: list(in_threads(read, names))), timed(bare),
             timed(lambda turn=turn: ours(folder / f"kept-{turn}")), timed(theirs))  # type: ignore[misc]
            for turn in range(options.turns)
        ]  # fmt: skip
    decoding, running, mine, peer = (statistics.median(one) for one in zip(*taken, strict=True))
    few, many = alone(1000), alone(100_000)

    def rate(seconds: float) -> str:
        return f"{len(names) / seconds:.0f}/s"

    least = statistics.median((one[0] + one[1]) / one[2] for one in taken)
    figures = [
        Figure("photos from files, ours / the graph alone", rate(mine), rate(running),
               statistics.median(one[1] / one[2] for one in taken), ">= 0.9"),
        Figure("the same / decoding and graph, nothing idle", rate(mine), rate(decoding + running), least, ">= 0.9"),
        Figure("ours / PyTorch with a DataLoader", rate(mine), rate(peer),
               statistics.median(one[3] / one[2] for one in taken), ">= 1.6"),
        Figure("memory for 100,000 pictures / for 1,000", f"{many / 2**20:.0f} MB", f"{few / 2**20:.0f} MB",
               many / few, "<= 1.2"),
    ]  # fmt: skip
    n = f"{len(names)} photos ({Path(options.photos).name}), {bundle.arch}, {options.turns} turns"
    tell("embed", "Embedding photos", figures, n, options.json)


if __name__ == "__main__":
    main()
