"""Every network of the zoo trained for one epoch on pictures of 32 pixels, and its Bundle opened and verified.

    python bench/one_epoch.py PICTURES [--arch NAME ...] [--out runs/one_epoch] [--json out.json]

Each is one `sightline train PICTURES --arch NAME --epochs 1` in a process of its own; what is in --out is kept, so that
the same command goes on after a break. The figure is how far the graph's answers in the opened Bundle lie from those
that PyTorch gave when it was made, over what is allowed; opening refuses a Bundle above 1, so it is told for its size.
One epoch at the usual recipe teaches deep networks little: the accuracies say that they train, not how good they are.
The largest take bfloat16 for its speed; EfficientNet-B7 smaller batches, to fit 24 GB; and three a learning rate below
the usual 0.1, as He et al. (2016, section 4.2) begin with for 110 layers: with 0.1 their answers hardly depend on the
picture after an epoch, and agreeing on them would say nothing.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from figures import Figure, parser, tell

from sightline.api import prepare
from sightline.bundle import GOLDEN, allowed, read_golden
from sightline.data.dataset import Dataset
from sightline.evaluation.answers import answer
from sightline.models import ARCHITECTURES
from sightline.run import Run

LARGE = ("plain18", "plain34", "resnet101", "resnet152", "resnet1202", "googlenet", "googlenet_naive", "alexnet")
OPTIONS = {
    "--precision": dict.fromkeys((*LARGE, *(name for name in ARCHITECTURES if name.startswith("vgg"))), "bf16"),
    "--batch": {"efficientnet_b7": "64"},
    "--lr": dict.fromkeys(("plain110", "resnet1202", "vgg19_bn"), "0.01"),
}


def trained(dataset: Dataset, arch: str, path: Path) -> Run:
    """The finished Run at `path`, where it is or was begun already."""
    given = [word for option, values in OPTIONS.items() if arch in values for word in (option, values[arch])]
    begin = [str(dataset.path), "--arch", arch, "--epochs", "1", *given, "--out", str(path)]
    if not path.exists() or Run.open(path).document["status"] != "done":
        what = ["--resume", str(path)] if path.exists() else begin
        subprocess.run([sys.executable, "-m", "sightline.cli", "train", *what], check=True, stdout=subprocess.DEVNULL)
    return Run.open(path)


def verified(run: Run) -> float:
    """The largest difference between the graph's golden logits and PyTorch's, over what is allowed."""
    images, logits = read_golden(run.path / "bundle" / GOLDEN)
    return float(np.abs(run.bundle().run(images).logits - logits).max() / allowed(logits))


def figure(arch: str, run: Run, dataset: Dataset) -> Figure:
    """One line: how it was trained, and whether the Bundle answers as the network did."""
    answers, size, recipe = answer(run, dataset), run.document["arguments"]["size"], run.document["arguments"]["recipe"]
    how = f"{recipe['precision']}, batches of {recipe['batch_size']}, learning rate {recipe['lr']:g}"
    top1 = float((answers.logits.argmax(1) == answers.labels).mean())
    return Figure(f"{arch}/{size}", f"{100 * top1:.1f} % on test; {how}", "", verified(run), "<= 1")


def main() -> None:
    """Train, verify and tell."""
    arguments = parser(__doc__)
    arguments.add_argument("pictures", help="a folder or archive of small pictures, such as CIFAR-10")
    arguments.add_argument("--arch", choices=ARCHITECTURES, action="append")
    arguments.add_argument("--out", type=Path, default=Path("runs/one_epoch"), help="where the runs go")
    options = arguments.parse_args()
    dataset = prepare(options.pictures)
    figures = []
    for arch in options.arch or ARCHITECTURES:
        figures.append(figure(arch, trained(dataset, arch, options.out / arch), dataset))
        print(f"{figures[-1].what}: {figures[-1].ours}", flush=True)
    train, test = (len(dataset.rows(split)) for split in ("train", "test"))
    n = f"{len(figures)} networks, one epoch of {train:,} pictures, {test:,} test pictures"
    tell("one_epoch", "One epoch of every network, to a verified Bundle", figures, n, options.json)


if __name__ == "__main__":
    main()
