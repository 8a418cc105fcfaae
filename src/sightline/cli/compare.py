"""`sightline compare`: train networks on the same pictures, several seeds each, and say what differs beyond chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from sightline.cli.output import Bars, finish, print_line, print_table
from sightline.cli.parameters import (
    ARCH_HELP,
    Augment,
    Balance,
    Batch,
    Budget,
    Data,
    Device,
    Epochs,
    Json,
    Lr,
    Mirror,
    Optimizer,
    Out,
    Precision,
    Preset,
    Schedule,
    Seed,
    Side,
    ZeroInit,
)
from sightline.core.errors import UserError
from sightline.core.wording import decimal, duration, interval, percent, rate, scaled, size, unbalanced


def command(
    data: Data,
    arch: Annotated[list[str] | None, typer.Option(help=f"{ARCH_HELP} Give it once for each.")] = None,
    run: Annotated[list[str] | None, typer.Option(metavar="RUN", help="A finished run to compare as well.")] = None,
    neighbours: Annotated[
        list[str] | None,
        typer.Option(metavar="RUN", help="Also the classifier by the nearest training pictures in its embedding."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds for each network.")] = 1,
    recipe: Preset = "usual",
    epochs: Epochs = None,
    budget: Budget = None,
    batch: Batch = None,
    side: Side = None,
    optimizer: Optimizer = None,
    lr: Lr = None,
    schedule: Schedule = None,
    zero_init: ZeroInit = None,
    augment: Augment = None,
    balance: Balance = None,
    mirror: Mirror = None,
    precision: Precision = None,
    device: Device = "auto",
    seed: Seed = 0,
    out: Out = None,
    json: Json = False,
) -> None:
    """Train networks on the same pictures, measure them on the same test pictures, and write report.html.

    What is in --out already is kept, and what was interrupted is resumed.
    """
    from sightline import api
    from sightline.cli.pages import write_comparison

    if not arch and not run and not neighbours:
        raise UserError("compare needs networks: give --arch once for each, such as --arch resnet20 --arch googlenet")
    document = api.compare(
        data,
        arch or [],
        seeds=seeds,
        runs=run or [],
        neighbours=neighbours or [],
        recipe=recipe,
        epochs=epochs,
        budget=budget,
        batch_size=batch,
        size=side,
        optimizer=optimizer,
        lr=lr,
        schedule=schedule,
        zero_init=zero_init,
        augment=augment,
        balance=balance,
        mirror=mirror,
        precision=precision,
        device=device,
        seed=seed,
        out=out,
        progress=Bars(),
    )
    finish(document, write_comparison, show, as_json=json)


def show(document: dict[str, Any]) -> None:
    """The comparison's figures, a column a network, and the findings."""
    networks, uneven = document["networks"], unbalanced(document["dataset"]["imbalance"])
    figures: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("test top-1", lambda n: percent(n["top1"]["mean"])),
        ("  95 % interval", lambda n: interval(n["top1"])),
        *([("balanced accuracy", lambda n: percent(n["balanced_accuracy"]["mean"]))] if uneven else []),
        ("validation top-1", lambda n: percent(n["validation_top1"]["mean"])),
        ("train top-1", lambda n: percent(n["train_top1"]["mean"])),
        ("log loss", lambda n: decimal(n["log_loss"]["mean"])),
        ("calibration error", lambda n: percent(n["ece"]["mean"])),
        ("parameters", lambda n: scaled(n["parameters"])),
        ("MACs a picture", lambda n: scaled(n["macs"])),
        ("epochs", lambda n: decimal(n["epochs"], 1).removesuffix(".0")),
        ("training time", lambda n: duration(n["train_seconds"])),
        ("training images/s", lambda n: rate(n["train_images_per_s"])),
        ("running images/s", lambda n: rate(n["run_images_per_s"])),
        ("peak memory", lambda n: size(n["peak_memory_bytes"])),
    ]
    counts = [len(network["seeds"]) for network in networks]
    fewest = f"{min(counts)} to " if min(counts) < max(counts) else ""
    seeds = f"{fewest}{max(counts)} seed{'s' if max(counts) > 1 else ''} each"
    title = f"{document['dataset']['name']}: {len(networks)} networks, {seeds}"
    rows = [[name, *(figure(network) for network in networks)] for name, figure in figures]
    print_table(title, ["", *(network["arch"] for network in networks)], rows)
    for finding in document["findings"]:
        print_line(f"- {finding}")
