"""`sightline reproduce`: carry out the course's experiment, from a quick look to the whole, and write its page."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from sightline.cli import compare
from sightline.cli.output import Bars, finish, print_line
from sightline.cli.parameters import DATA_HELP, Batch, Device, Json, Lr, Out, Precision, Preset, Seed, ZeroInit


def command(
    experiment: Annotated[
        Literal["inception-vs-resnet"],
        typer.Argument(metavar="EXPERIMENT", help="inception-vs-resnet: GoogLeNet and ResNet-50 for the same time."),
    ],
    data: Annotated[str | None, typer.Option(help=DATA_HELP, show_default="cifar10, downloaded")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A look in about ten minutes: --budget 4m --seeds 1 --size 16.")
    ] = False,
    budget: Annotated[
        str | None, typer.Option(help="The wall time of each training (10m, 2h).", show_default="30m")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds for each network.", show_default="3")] = None,
    side: Annotated[
        int | None, typer.Option("--size", min=1, max=64, help="Picture side in pixels.", show_default="32")
    ] = None,
    recipe: Preset = "usual",
    batch: Batch = None,
    lr: Lr = None,
    zero_init: ZeroInit = None,
    precision: Precision = None,
    device: Device = "auto",
    seed: Seed = 0,
    out: Out = None,
    json: Json = False,
) -> None:
    """Carry out an experiment, and write report.html with what it teaches.

    inception-vs-resnet trains GoogLeNet and ResNet-50, both for small pictures, for the same wall time with several
    seeds each. Interrupt it at any time: the same command goes on where it stood.
    """
    from sightline import api
    from sightline.cli.pages import write_experiment

    document = api.reproduce(
        experiment,
        data,
        quick=quick,
        budget=budget,
        seeds=seeds,
        size=side,
        recipe=recipe,
        batch_size=batch,
        lr=lr,
        zero_init=zero_init,
        precision=precision,
        device=device,
        seed=seed,
        out=out,
        progress=Bars(),
    )
    finish(document, write_experiment, show, as_json=json)


def show(document: dict[str, Any]) -> None:
    """What was asked, the comparison's figures, and what they teach."""
    print_line(document["question"])
    print_line(document["setup"])
    compare.show({**document["comparison"], "findings": document["findings"]})
