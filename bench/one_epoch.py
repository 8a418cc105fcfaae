"""Every network of the zoo trained for one epoch on pictures of 32 pixels, and its Bundle opened and verified.

    python bench/one_epoch.py PICTURES [--arch NAME ...] [--out runs/one_epoch] [--json out.json]

Each is one `sightline compare PICTURES --arch NAME --epochs 1` in a process of its own; what is in --out is kept, so
that the same command goes on after a break. The figure is how far the graph's answers in the opened Bundle lie from
those that PyTorch gave when it was made, over what is allowed; opening refuses a Bundle above 1, so it is told for its
size. One epoch at the usual recipe teaches deep networks little: the accuracies say that they train, not how good they
are. The largest take bfloat16 for its speed; EfficientNet-B7 smaller batches, to fit 24 GB; and three a learning rate
below the usual 0.1, as He et al. (2016, section 4.2) begin with for 110 layers: with 0.1 their answers do not depend on
the picture after an epoch, and agreeing on them would say nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from figures import Figure, parser, tell

from sightline.bundle import GOLDEN, allowed
from sightline.models import ARCHITECTURES
from sightline.run import Run

LARGE = ("plain18", "plain34", "resnet101", "resnet152", "resnet1202", "googlenet", "googlenet_naive", "alexnet")
OPTIONS = {
    "--precision": dict.fromkeys((*LARGE, *(name for name in ARCHITECTURES if name.startswith("vgg"))), "bf16"),
    "--batch": {"efficientnet_b7": "64"},
    "--lr": dict.fromkeys(("plain110", "resnet1202", "vgg19_bn"), "0.01"),
}


def trained(pictures: str, arch: str, out: Path) -> dict[str, Any]:
    """The comparison's entry for the one network in it."""
    command = [sys.executable, "-m", "sightline.cli", "compare", pictures, "--arch", arch, "--epochs", "1", "--json"]
    command += [word for option, values in OPTIONS.items() if arch in values for word in (option, values[arch])]
    done = subprocess.run([*command, "--out", str(out)], check=True, stdout=subprocess.PIPE, text=True)
    (network,) = json.loads(done.stdout)["networks"]
    return dict(network)


def verified(run: Run) -> float:
    """The largest difference between the graph's golden logits and PyTorch's, over what is allowed."""
    with np.load(run.path / "bundle" / GOLDEN, allow_pickle=False) as golden:
        images, logits = golden["images"], golden["logits"]
    return float(np.abs(run.bundle().run(images).logits - logits).max() / allowed(logits))


def figure(arch: str, network: dict[str, Any], run: Run) -> Figure:
    """One line: what the training did, and whether the Bundle answers as the network did."""
    size, recipe = run.document["arguments"]["size"], run.document["arguments"]["recipe"]
    how = f"{recipe['precision']}, batches of {recipe['batch_size']}, learning rate {recipe['lr']:g}"
    said = f"{100 * network['top1']['mean']:.1f} % on test; {how}"
    return Figure(f"{arch}/{size}", said, "", verified(run), "<= 1")


def main() -> None:
    """Train, verify and tell."""
    arguments = parser(__doc__)
    arguments.add_argument("pictures", help="a folder or archive of small pictures, such as CIFAR-10")
    arguments.add_argument("--arch", choices=ARCHITECTURES, action="append")
    arguments.add_argument("--out", type=Path, default=Path("runs/one_epoch"), help="where the runs go")
    options = arguments.parse_args()
    figures = []
    for arch in options.arch or ARCHITECTURES:
        network = trained(options.pictures, arch, options.out)
        figures.append(figure(arch, network, Run.open(options.out / f"{arch}-s0")))
    counts = Run.open(options.out / f"{arch}-s0").document["data"]["counts"]
    n = f"{len(figures)} networks, one epoch of {counts['train']:,} pictures, {counts['test']:,} test pictures"
    title = "One epoch of every network, to a verified Bundle"
    tell("one_epoch", title, figures, n, options.json)


if __name__ == "__main__":
    main()
