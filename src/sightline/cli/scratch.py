"""`sightline scratch`: networks in NumPy alone - train one, compare it with PyTorch, check it, look inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sightline.cli import explore
from sightline.cli.output import Bars, note, print_json, print_line, print_table
from sightline.cli.parameters import DATA_HELP, Json, Out, Seed, Side, given
from sightline.cli.train import calibrated
from sightline.core.errors import UserError, named
from sightline.core.wording import duration, interval, percent, rate, scaled, size

if TYPE_CHECKING:
    from sightline.run import Run

SHOWN = 12  # layers of a comparison, the furthest apart
WEIGHTS_HELP = "Instead of RUN: the network's public weights (imagenet), or those in a file."

app = typer.Typer(no_args_is_help=True, help="Networks in NumPy alone: to learn from, and to look inside one's own.")
app.command(name="explore")(explore.command)


@app.command()
def train(
    ctx: typer.Context,
    data: Annotated[str | None, typer.Argument(metavar="DATA", help=DATA_HELP, show_default=False)] = None,
    network: Annotated[
        str, typer.Option(metavar="NAME", help="lenet, inception_small, or as `sightline train --arch` calls it.")
    ] = "lenet",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training pictures.")] = 5,
    optimizer: Annotated[Literal["sgd", "adam"], typer.Option(help="sgd has Nesterov's momentum.")] = "sgd",
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.", show_default="0.05 (adam: 0.001)")] = None,
    momentum: Annotated[float | None, typer.Option(help="Of sgd; 0 for none.", show_default="0.9")] = None,
    weight_decay: Annotated[float, typer.Option(help="Of all that is learnt.")] = 5e-4,
    schedule: Annotated[
        Literal["one_cycle", "paper_step", "constant"], typer.Option(help="How the learning rate goes.")
    ] = "one_cycle",
    batch: Annotated[
        int | None, typer.Option(min=1, max=65536, help="Pictures a step.", show_default="128, of few pictures fewer")
    ] = None,
    side: Side = None,
    seed: Seed = 0,
    out: Out = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Continue this run, with its own options.")] = None,
    json: Json = False,
) -> None:
    """Train a network in NumPy; the run and its bundle are like those of `sightline train`, and every verb takes them.

    Interrupt it at any time: `sightline scratch train --resume RUN` continues, to the last bit.
    """
    from sightline import api

    if resume is not None:
        others = given(ctx, "resume", "json")
        if others:
            raise UserError(f"a run goes on with its own options: leave out {named(', '.join(others))}")
        note(f"resuming {named(resume)}")
        run = api.resume_scratch(resume, progress=Bars())
    elif data is None:
        raise UserError("scratch train needs DATA, as `sightline scratch train mnist --network lenet`")
    else:
        run = api.train_scratch(
            data, network, out=out, size=side, epochs=epochs, optimizer=optimizer, lr=lr, momentum=momentum,
            weight_decay=weight_decay, schedule=schedule, batch_size=batch, seed=seed, progress=Bars(),
        )  # fmt: skip
    evaluation = api.evaluate(run, progress=Bars()) if run.document["data"]["counts"]["test"] else None
    if json:
        print_json({"kind": "training", "path": str(run.path), "run": run.document, "evaluation": evaluation})
    else:
        show_training(run, evaluation)


def show_training(run: Run, evaluation: dict[str, Any] | None) -> None:
    """The run's figures and where they are."""
    results, recipe = run.document["results"], run.document["arguments"]["recipe"]
    rows = [
        ["parameters", scaled(results["parameters"])],
        ["MACs a picture", scaled(results["macs"])],
        ["steps", f"{recipe['batch_size']} pictures, {recipe['optimizer']}, learning rate {recipe['lr']:.2g}"],
        ["training", f"{results['epochs']} epochs in {duration(results['train_seconds'])}"],
        ["speed", f"{rate(results['train_images_per_s'])} images/s, {results['device']}"],
        ["peak memory", size(results["peak_memory_bytes"])],
        ["calibration", calibrated(results["calibration"])],
    ]  # fmt: skip
    if results["validation"]["top1"] is not None:
        rows.insert(0, ["validation top-1", percent(results["validation"]["top1"])])
    if evaluation:
        said = f"{percent(evaluation['top1'])} ({interval(evaluation['interval'])}, n = {evaluation['n']:,})"
        rows.insert(0, ["test top-1", said])
    print_table(f"{run.arch} in NumPy on {run.document['data']['name']}", ["figure", "value"], rows, left=2)
    print_line(f"run     {run.path}")
    print_line(f"bundle  {run.path / 'bundle'}")


@app.command()
def verify(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run's directory, its name under runs/, or a bundle.")
    ] = None,
    weights: Annotated[str | None, typer.Option(metavar="FILE|imagenet", help=WEIGHTS_HELP, show_default=False)] = None,
    network: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of --weights.", show_default="as beside FILE")
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Compare every layer, not the answers alone.")] = False,
    json: Json = False,
) -> None:
    """Rebuild a trained network in NumPy and compare its answers with PyTorch's, and with what is served.

    Of one that was trained in NumPy there is only the latter.

    Where they differ by more than a ten-thousandth, the first layer that does is named and the exit code is 2.
    """
    from sightline import api
    from sightline.from_scratch.parity import verify as compare

    if (run is None) == (weights is None) or (network and not weights):
        raise UserError("scratch verify needs a RUN, or --weights (with --network); one of them")
    if weights is not None:
        from sightline.embedder import ready_made

        bundle = ready_made(weights, network, Bars())
    else:
        assert run is not None
        bundle = api.load(run)
    document = compare(bundle, layers=layers)
    if json:
        print_json(document)
    else:
        show_verification(document)
    if not document["passed"]:
        where = f", first in {named(document['first'])}" if document.get("first") else ""
        raise UserError(
            f"{named(document['arch'])} answers otherwise in NumPy{where}: by {furthest(document):.1e} of the "
            f"largest number, {document['limit']:.0e} is allowed; report it with the bundle"
        )


def furthest(document: dict[str, Any]) -> float:
    """The largest of the differences: of logits, and of layers where they were compared."""
    layers = [one["difference"] for one in document.get("layers", [])]
    return max(document["difference"], document["runtime_difference"], *layers)


def show_verification(document: dict[str, Any]) -> None:
    """How far apart answers and layers are."""
    rows = [
        ["logits, from those it was made with", f"{document['difference']:.1e}"],
        ["logits, from what is served", f"{document['runtime_difference']:.1e}"],
    ]
    compared = document.get("layers", [])
    shown = sorted(compared, key=lambda one: -one["difference"])[:SHOWN]
    for one in sorted(shown, key=compared.index):
        rows.append([f"{one['name']}  {' x '.join(map(str, one['shape']))}", f"{one['difference']:.1e}"])
    title = f"{document['arch']} in NumPy, {document['pictures']} pictures"
    print_table(title, ["answer", "largest difference / largest number"], rows)
    if compared:
        print_line(f"{len(compared)} layers compared, the {len(shown)} furthest apart shown")
    if document["passed"]:
        print_line(f"the same within {document['limit']:.0e}")


@app.command()
def check(
    networks: Annotated[
        list[str] | None, typer.Argument(metavar="[NETWORK]...", help="Networks to check.", show_default="four")
    ] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Check the gradients of every layer and of whole networks against small steps, in float64."""
    from sightline.scratch.gradients import LIMIT
    from sightline.scratch.proof import PROVEN, prove_layers, prove_networks

    names = networks or PROVEN
    proofs = list(prove_layers(seed))
    with Bars().task("Checking", len(names), "networks") as advance:
        for proof in prove_networks(names, seed):
            proofs.append(proof)
            advance()
    wrong = [proof.name for proof in proofs if not proof.holds]
    if json:
        found = [
            {"name": proof.name, "tensors": len(proof.checked), "worst": proof.worst.name, "error": proof.worst.error}
            for proof in proofs
        ]
        print_json({"kind": "gradient-check", "limit": LIMIT, "seed": seed, "checked": found, "passed": not wrong})
    else:
        rows = [[p.name, f"{len(p.checked)}", p.worst.name, f"{p.worst.error:.1e}"] for p in proofs]
        print_table("Gradients against small steps", ["of", "tensors", "furthest", "relative error"], rows, left={0, 2})
        print_line(f"{'all' if not wrong else 'not all'} within {LIMIT:.0e}")
    if wrong:
        raise UserError(f"the gradient of {named(wrong[0])} is not its slope: report it with the seed, {seed}")
