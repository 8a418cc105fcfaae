"""`sightline compare`: train networks on the same pictures, several seeds each, and say what differs beyond chance."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sightline.cli.output import Bars, print_json, print_line, print_table
from sightline.cli.parameters import (
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
    Schedule,
    Seed,
    Side,
)
from sightline.core.errors import UserError, named
from sightline.report.wording import duration, interval, percent, rate, scaled, size


def command(
    data: Data,
    arch: Annotated[list[str] | None, typer.Option(help="A network; give the option once for each.")] = None,
    run: Annotated[list[str] | None, typer.Option(metavar="RUN", help="A finished run to compare as well.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds for each network.")] = 1,
    epochs: Epochs = None,
    budget: Budget = None,
    batch: Batch = None,
    side: Side = None,
    optimizer: Optimizer = Optimizer.sgd,
    lr: Lr = None,
    schedule: Schedule = Schedule.one_cycle,
    mirror: Mirror = None,
    precision: Precision = Precision.auto,
    device: Device = Device.auto,
    seed: Seed = 0,
    out: Out = None,
    json: Json = False,
) -> None:
    """Train networks on the same pictures, measure them on the same test pictures, and write report.html.

    What is in --out already is kept, and what was interrupted is resumed.
    """
    from sightline import api
    from sightline.cli.pages import write_comparison

    if not arch and not run:
        raise UserError("compare needs networks: give --arch once for each, such as --arch resnet20 --arch googlenet")
    document = api.compare(
        data,
        arch or [],
        seeds=seeds,
        runs=run or [],
        epochs=epochs,
        budget=budget,
        batch_size=batch,
        size=side,
        optimizer=optimizer.value,
        lr=lr,
        schedule=schedule.value,
        mirror=mirror,
        precision=precision.value,
        device=device.value,
        seed=seed,
        out=out,
        progress=Bars(),
    )
    document["command"] = shlex.join(["sightline", *sys.argv[1:]])
    page = write_comparison(document, Path(document["path"]))
    if json:
        print_json({**document, "report": str(page)})
        return
    show(document)
    print_line(f"report  {named(page)}")


def show(document: dict[str, Any]) -> None:
    """The comparison's table and findings."""
    rows = []
    for network in document["networks"]:
        top1 = network["top1"]
        rows.append(
            [
                network["arch"],
                f"{percent(top1['mean'])} ({interval(top1)})",
                f"{network['log_loss']['mean']:.3f}",
                scaled(network["parameters"]),
                scaled(network["macs"]),
                duration(network["train_seconds"]),
                rate(network["train_images_per_s"]),
                rate(network["run_images_per_s"]),
                size(network["peak_memory_bytes"]),
            ]
        )
    heads = ["network", "test top-1 (95 %)", "log loss", "parameters", "MACs", "training", "train/s", "run/s", "memory"]
    print_table(f"{document['dataset']['name']}: {len(rows)} networks", heads, rows)
    for finding in document["findings"]:
        print_line(f"- {finding}")
