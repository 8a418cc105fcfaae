"""`sightline train`: train a network on pictures, or resume a training."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sightline.cli.curve import LearningCurve, Seeds
from sightline.cli.curve import show as show_curve
from sightline.cli.export import became
from sightline.cli.output import Bars, finish, print_json, print_line, print_table
from sightline.cli.parameters import (
    ARCH_HELP,
    DATA_HELP,
    STEM_HELP,
    STYLE_DEFAULT,
    STYLE_HELP,
    TUNE_HELP,
    WEIGHTS_HELP,
    Augment,
    Auxiliary,
    Balance,
    Batch,
    Budget,
    CacheBudget,
    Device,
    Epochs,
    Json,
    Lr,
    Mirror,
    Momentum,
    Optimizer,
    Out,
    Patience,
    Precision,
    Preset,
    Schedule,
    Seed,
    Side,
    Smoothing,
    Stem,
    Style,
    Tune,
    Views,
    WeightDecay,
    Workers,
    ZeroInit,
    given,
)
from sightline.cli.resuming import resumed
from sightline.core.errors import UserError
from sightline.core.wording import duration, interval, percent, rate, scaled, size, unbalanced, whole

if TYPE_CHECKING:
    from sightline.run import Run


def command(
    ctx: typer.Context,
    data: Annotated[str | None, typer.Argument(metavar="DATA", help=DATA_HELP, show_default=False)] = None,
    arch: Annotated[str | None, typer.Option(help=ARCH_HELP, show_default=False)] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="FILE|imagenet", help=WEIGHTS_HELP, show_default="none")
    ] = None,
    tune: Annotated[Tune | None, typer.Option(help=TUNE_HELP, show_default="auto")] = None,
    keep_views: Views = None,
    out: Out = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Continue this run, with its own options.")] = None,
    recipe: Preset = "usual",
    epochs: Epochs = None,
    budget: Budget = None,
    batch: Batch = None,
    side: Side = None,
    optimizer: Optimizer = None,
    lr: Lr = None,
    momentum: Momentum = None,
    weight_decay: WeightDecay = None,
    schedule: Schedule = None,
    label_smoothing: Smoothing = None,
    auxiliary_weight: Auxiliary = None,
    zero_init: ZeroInit = None,
    augment: Augment = None,
    balance: Balance = None,
    mirror: Mirror = None,
    patience: Patience = None,
    stem: Annotated[Stem | None, typer.Option(help=STEM_HELP, show_default="by the picture side")] = None,
    style: Annotated[Style | None, typer.Option(help=STYLE_HELP, show_default=STYLE_DEFAULT)] = None,
    precision: Precision = None,
    device: Device = "auto",
    cache_budget: CacheBudget = 2.0,
    workers: Workers = None,
    seed: Seed = 0,
    learning_curve: LearningCurve = False,
    seeds: Seeds = None,
    json: Json = False,
) -> None:
    """Train a network on pictures; the run ends in a verified bundle.

    With --weights it begins with these, and takes pictures as they ask for; a file described by a .json of the same
    name beside it needs no --arch. With --learning-curve a run for every share of the pictures, a page of what they
    bring, and hand-engineered features beside; what is in --out already is kept or resumed.

    Interrupt it at any time: `sightline train --resume RUN` continues, on a CPU to the last bit.
    """
    from sightline import api

    if seeds is not None and not learning_curve:
        raise UserError("--seeds belongs to --learning-curve: `sightline compare` trains several seeds as well")
    if resume is not None and learning_curve:
        raise UserError("--learning-curve goes on by itself: give the command it began with, without --resume")
    if resume is not None:
        run = resumed(resume, given(ctx, "resume", "workers", "json"), workers)
    elif data is None or (arch is None and weights is None):
        raise UserError("train needs DATA and --arch or --weights, as `sightline train photos.zip --arch resnet18`")
    else:
        begin: Callable[..., Any] = partial(api.learning_curve, seeds=seeds or 1) if learning_curve else api.train
        made = begin(
            data,
            arch,
            weights=weights,
            tune=tune,
            views=keep_views,
            out=out,
            recipe=recipe,
            epochs=epochs,
            budget=budget,
            batch_size=batch,
            size=side,
            optimizer=optimizer,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            schedule=schedule,
            label_smoothing=label_smoothing,
            auxiliary_weight=auxiliary_weight,
            zero_init=zero_init,
            augment=augment,
            balance=balance,
            mirror=mirror,
            patience=patience,
            stem=stem,
            style=style,
            precision=precision,
            device=device,
            cache_bytes=int(cache_budget * 1e9),
            workers=workers,
            seed=seed,
            progress=Bars(),
        )
        if learning_curve:
            from sightline.cli.pages import write_curve

            return finish(made, write_curve, show_curve, as_json=json)
        run = made
    evaluation = api.evaluate(run, progress=Bars()) if run.document["data"]["counts"]["test"] else None
    if json:
        print_json({"kind": "training", "path": str(run.path), "run": run.document, "evaluation": evaluation})
    else:
        show(run, evaluation)


def show(run: Run, evaluation: dict[str, Any] | None) -> None:
    """The run's figures and where they are."""
    results = run.document["results"]
    parameters, trained = results["parameters"], results.get("trained_parameters", results["parameters"])
    frozen = f", {scaled(trained)} of them trained" if trained < parameters else ""
    tunes = [depth["tune"] for depth in results.get("depths", []) if depth["chosen"]]
    steps = "penalties" if "head" in (*tunes, run.document["arguments"]["recipe"].get("tune")) else "epochs"
    rows = [
        ["validation top-1", percent(results["validation"]["top1"])],
        ["parameters", scaled(parameters) + frozen],
        ["MACs a picture", scaled(results["macs"])],
        ["training", f"{results['epochs']} {steps} in {duration(results['train_seconds'])}"],
        [
            "speed",
            f"{rate(results['train_images_per_s'])} images/s, {percent(results['waiting_frac'])} waiting for data",
        ],
        ["peak memory", size(results["peak_memory_bytes"])],
    ]
    if results.get("lr") is not None:
        recipe = run.document["arguments"]["recipe"]
        found = " by a range test" if recipe["lr"] == "auto" else ""
        rows.insert(-3, ["steps", f"{recipe['batch_size']} pictures, learning rate {results['lr']:.2g}{found}"])
    rows.append(["calibration", calibrated(results.get("calibration"))])
    uneven = unbalanced(run.document["data"].get("imbalance", {}))
    if uneven:
        rows.insert(1, ["classes", f"{uneven}, balance {run.document['arguments']['recipe']['balance']}"])
    if evaluation:
        said = f"{percent(evaluation['top1'])} ({interval(evaluation['interval'])}, n = {evaluation['n']:,})"
        rows.insert(0, ["test top-1", said])
    print_table(f"{run.arch} on {run.document['data']['name']}", ["figure", "value"], rows, left=2)
    if "depths" in results:
        show_depths(results["depths"], run.document["data"])
    if results.get("collapsed"):
        from sightline.evaluation.collapse import ADVICE, Spread

        print_line(f"warning: the network {Spread(**results['collapsed']).told('validation')}: {ADVICE}")
    if "weights" in run.document:
        print_line(f"weights {became(run.document['weights'])}")
    print_line(f"run     {run.path}")
    print_line(f"bundle  {run.path / 'bundle'}")


def calibrated(figures: dict[str, Any] | None) -> str:
    """What became of the temperature, and what it did for confidence."""
    if figures is None:
        return "none, as there are no validation pictures"
    temperature, before, after = figures["temperature"], figures["before"]["ece"], figures["after"]["ece"]
    between = f"{temperature['fitted']:.2f} ({temperature['low']:.2f} to {temperature['high']:.2f})"
    if temperature["value"] == 1:
        return f"temperature 1, which {figures['pictures']:,} validation pictures cannot tell from {between}"
    return f"temperature {between}: error on validation {percent(before)}, now {percent(after)}"


def show_depths(depths: list[dict[str, Any]], data: dict[str, Any]) -> None:
    """What every depth of tuning brought in which time, and which was kept."""
    rows, reasons, kept = [], list[str](), next(depth["tune"] for depth in depths if depth["chosen"])
    for depth in depths:
        tune = f"{depth['tune']} (kept)" if depth["chosen"] else depth["tune"]
        if depth["status"] != "done":
            rows.append([tune, "", depth["status"], duration(depth["seconds"])])
            if "why" in depth and depth["status"] == "failed":
                reasons.append(f"{tune} failed: {depth['why']}")
            continue
        measured = f"{percent(depth['validation']['top1'])} ({interval(depth['validation'])})"
        rows.append([tune, scaled(depth["trained_parameters"]), measured, duration(depth["seconds"])])
    print_table("Depths of tuning", ["tuned", "trained", "validation top-1", "time"], rows)
    for reason in reasons:
        print_line(reason)
    if not data["counts"]["validation"]:
        print_line("The head alone was fitted: there are no validation pictures to measure deeper tuning by.")
        return
    print_line(
        "Few pictures ask for frozen layers, many for free ones: with "
        f"{whole(round(data['counts']['train'] / len(data['classes'])))} a class, {kept} did best on "
        f"{whole(data['counts']['validation'])} validation pictures."
    )
