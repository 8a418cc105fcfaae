"""The arguments and options several verbs share, written once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sightline.core.errors import UserError, named

DATA_HELP = (
    "A folder, zip, tar or URL of class folders (or train/val/test trees of them), MNIST IDX or CIFAR files, "
    "a dataset made by `sightline data`, or digits, mnist, fashion-mnist, cifar10."
)


def given(ctx: typer.Context, *but: str) -> dict[str, Any]:
    """The parameters that were given on the command line, `but` those."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params if name not in but}
    return {name: ctx.params[name] for name, source in sources.items() if source and source.name == "COMMANDLINE"}


Tune = Literal["auto", "head", "last", "gradual", "all"]
Stem = Literal["imagenet", "small"]
Style = Literal["torchvision", "paper"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Annotated[Literal["auto", "32", "bf16", "16"] | None, typer.Option(show_default="auto")]
Split = Literal["train", "validation", "test"]

ARCH_HELP = "The network and its options, such as resnet18, resnet20:shortcut=B or mobilenet_v2:width=0.5."
STEM_HELP = "The first layers; small is for pictures of up to 64 pixels, which it shrinks later."
WEIGHTS_HELP = "The network's public weights (imagenet), or those in a .safetensors, .pth, .pt or .th file."
STYLE_HELP = "Whom to follow where paper and public weights differ."
STYLE_DEFAULT = "the weights' own, or torchvision"

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, nothing else.")]
Data = Annotated[str, typer.Argument(metavar="DATA", help=DATA_HELP, show_default=False)]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's directory, its name under runs/, or a bundle.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="What every random choice follows from.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Decoding threads.", show_default="processors")]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training pictures.", show_default="20")]
Budget = Annotated[
    str | None, typer.Option(help="Instead of epochs: end each training within this wall time (90s, 10m, 2h).")
]
Batch = Annotated[
    int | None, typer.Option("--batch", min=1, max=65536, help="Pictures a step.", show_default="fitted to the data")
]
Side = Annotated[
    int | None,
    typer.Option("--size", min=1, max=4096, help="Picture side in pixels.", show_default="the network's, or smaller"),
]
Preset = Annotated[
    Literal["usual", "fast", "paper"],
    typer.Option(
        "--recipe",
        help="What holds where no option is given: fast is for few epochs from scratch, paper is He et al. 2015.",
    ),
]
Optimizer = Annotated[Literal["sgd", "adamw", "muon"] | None, typer.Option(show_default="sgd")]
Lr = Annotated[
    str | None,
    typer.Option(
        metavar="RATE|auto",
        help="Peak learning rate; auto finds it by a range test.",
        show_default="0.1 (adamw: 0.001) a 128",
    ),
]
Momentum = Annotated[
    float | None,
    typer.Option(help="SGD's momentum (Nesterov), also beside Muon; AdamW's first beta.", show_default="0.9"),
]
WeightDecay = Annotated[
    float | None, typer.Option(help="Weight decay, off biases, norms and what Muon trains.", show_default="0.0005")
]
Schedule = Annotated[
    Literal["one_cycle", "cosine", "paper_step", "paper_step_warm_up", "constant"] | None,
    typer.Option(help="How the learning rate goes.", show_default="one_cycle"),
]
Smoothing = Annotated[float | None, typer.Option(help="Label smoothing.", show_default="0.1")]
Balance = Annotated[
    Literal["none", "weights", "sampling"] | None,
    typer.Option(
        help="What makes up for classes of different size: rare pictures weigh more, or come more often.",
        show_default="none",
    ),
]
Auxiliary = Annotated[float | None, typer.Option(help="Weight of the loss of auxiliary heads.", show_default="0.3")]
AUGMENT_FILE = "NAME|FILE.yaml"
Augment = Annotated[
    str | None,
    typer.Option(
        metavar=AUGMENT_FILE,
        help="Distort the pictures: none, mirror, standard, paper, strong, or as a file says.",
        show_default="standard",
    ),
]
Mirror = Annotated[
    bool | None,
    typer.Option("--mirror/--no-mirror", help="Whether --augment may mirror.", show_default="by class"),
]
TUNE_HELP = (
    "What of the weights is trained: the head, the last stage too, all of it, or one stage after the other; auto tries "
    "each within the budget and keeps the best on validation."
)
Views = Annotated[
    int | None,
    typer.Option(
        "--keep-views",
        min=1,
        max=64,
        help="For head and last: passes to keep, all but one distorted.",
        show_default="1",
    ),
]
ZeroInit = Annotated[
    bool | None, typer.Option("--zero-init/--no-zero-init", help="From scratch, begin residual blocks as shortcuts.")
]
Patience = Annotated[int | None, typer.Option(help="Stop after so many epochs without a better validation.")]
CacheBudget = Annotated[float, typer.Option(min=0, max=1e9, help="Gigabytes of decoded pictures to keep on disk.")]
REJECT_HELP = (
    'Say "unknown" so that at most this share of the answers is wrong, such as 5%, as validation shows with 95 % '
    "confidence."
)
Reject = Annotated[str | None, typer.Option(metavar="SHARE", help=REJECT_HELP, show_default="always answer")]
UNLIKE_HELP = 'With --reject: the share of good pictures that may be "unknown" for looking like nothing trained on.'
Unlike = Annotated[str | None, typer.Option(metavar="SHARE", help=UNLIKE_HELP, show_default="5%")]
Out = Annotated[Path | None, typer.Option(help="The directory to write.", show_default=False)]


def rejecting(reject: str | None, unlike: str | None) -> dict[str, float]:
    """What --reject and --unlike ask for, as far as they are given; UserError for --unlike alone."""
    if unlike is not None and reject is None:
        raise UserError("--unlike belongs to --reject: give both")
    asked = {"reject": reject, "unlike": unlike}
    return {name: share(f"--{name}", text) for name, text in asked.items() if text is not None}


def share(option: str, text: str) -> float:
    """'5%', '5 %' or '0.05', what `option` was given, as a share; UserError for anything but 0 to 100 %."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(%?)\s*", text)
    value = float(match[1]) / (100 if match[2] else 1) if match else 2.0
    if value > 1:
        raise UserError(f'{option} "{named(text)}" is no share: write 5% or 0.05')
    return value
