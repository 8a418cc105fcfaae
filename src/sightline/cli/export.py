"""`sightline export`: a bundle straight from weights, in 8-bit integers, or a graph for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sightline.cli.output import Bars, print_json, print_line, print_table
from sightline.cli.parameters import ARCH_HELP, STEM_HELP, STYLE_DEFAULT, STYLE_HELP, WEIGHTS_HELP, Json, Stem, Style
from sightline.core.errors import UserError
from sightline.core.wording import percent, rate, scaled, size

if TYPE_CHECKING:
    from sightline.bundle import Bundle

CLASSES_HELP = "Class names in their order: a text file of one a line, or JSON."


def command(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run, or a bundle, that is there.", show_default=False)
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="FILE|imagenet", help=f"Instead of RUN: {WEIGHTS_HELP}", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The bundle to write, a new directory.", show_default="with --int8 beside RUN's")
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Of RUN: a bundle in 8-bit integers.")] = False,
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Pictures to calibrate and measure on.", show_default="the run's own"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Keep it even where it agrees on less than 99 %.")] = False,
    onnx: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of RUN: the graph as a file for other runtimes.")
    ] = None,
    opset: Annotated[int | None, typer.Option(min=18, help="Of that file.", show_default="the graph's own, 20")] = None,
    fixed_batch: Annotated[
        int | None, typer.Option(min=1, help="Pictures that file takes at a time.", show_default="any number")
    ] = None,
    arch: Annotated[str | None, typer.Option(help=ARCH_HELP, show_default="as beside FILE")] = None,
    style: Annotated[Style | None, typer.Option(help=STYLE_HELP, show_default=STYLE_DEFAULT)] = None,
    stem: Annotated[Stem | None, typer.Option(help=STEM_HELP, show_default="the weights' own")] = None,
    classes: Annotated[
        Path | None, typer.Option(metavar="FILE", help=CLASSES_HELP, show_default="their numbers")
    ] = None,
    json: Json = False,
) -> None:
    """Make a verified bundle of weights as they are; or of a RUN its smaller bundle, or a graph for other runtimes.

    FILE.json beside FILE says network, style and preprocess; options go before it.
    """
    from sightline import api

    of_weights = {"--arch": arch, "--style": style, "--stem": stem, "--classes": classes}
    of_file = {"--opset": opset, "--fixed-batch": fixed_batch}
    if (run is None) == (weights is None):
        raise UserError("export needs a RUN, or --weights; one of them")
    if weights is not None:
        _refuse({"--int8": int8, "--onnx": onnx, "--data": data, "--force": force, **of_file}, "--weights")
        if out is None:
            raise UserError("--out is missing: name the bundle's new directory")
        bundle = api.export(weights, arch, out=out, classes=classes, style=style, stem=stem, progress=Bars())
        tell_weights(bundle, json)
        return
    assert run is not None
    if int8 == (onnx is not None):
        raise UserError("say what to make of the run: --int8, or --onnx FILE")
    if int8:
        _refuse({**of_weights, **of_file}, "--int8")
        tell_int8(api.quantise(run, data, out=out, force=force, progress=Bars()), json)
        return
    _refuse({**of_weights, "--data": data, "--force": force, "--out": out}, "--onnx")
    assert onnx is not None
    written = api.write_onnx(run, onnx, opset=opset, batch=fixed_batch)
    if json:
        print_json({"kind": "graph", "path": str(written), "size_bytes": written.stat().st_size})
        return
    print_line(f"graph  {written} ({size(written.stat().st_size)}), answering as the bundle does")


def _refuse(options: dict[str, Any], what: str) -> None:
    """UserError when one of `options` was given beside `what`."""
    given = [name for name, value in options.items() if value]
    if given:
        raise UserError(f"{given[0]} does not go with {what}: leave it out")


def tell_weights(bundle: Bundle, json: bool) -> None:
    """What the bundle of public weights is."""
    if json:
        print_json({"kind": "export", "path": str(bundle.path), "bundle": bundle.card})
        return
    card = bundle.card
    rows = [
        ["style", card["style"]],
        ["classes", f"{len(card['classes']):,}"],
        ["picture side", f"{bundle.preprocess.size} pixels"],
        ["parameters", scaled(card["parameters"])],
        ["MACs a picture", scaled(card["macs"])],
    ]
    print_table(bundle.arch, ["figure", "value"], rows, left=2)
    print_line(f"weights {became(card['weights'])}")
    made_for = [card["weights"][key] or card[key] for key in ("arch", "style")]
    if made_for != [card["arch"], card["style"]]:
        print_line(f"        made for {made_for[0]} in {made_for[1]} style: expect other accuracies here")
    print_line(f"bundle  {bundle.path}")


def tell_int8(bundle: Bundle, json: bool) -> None:
    """What the integers cost and gain."""
    parity = bundle.card["int8"]
    if json:
        print_json({"kind": "int8", "path": str(bundle.path), "parity": parity})
        return
    faster = parity["images_per_s"] / parity["float_images_per_s"]
    smaller = parity["size_bytes"] / parity["float_size_bytes"]
    rows = [
        ["same first class", f"{percent(parity['agreement'])} of {parity['pictures']:,} pictures"],
        ["cosine of embeddings", f"{parity['cosine']:.4f}"],
        ["size", f"{size(parity['size_bytes'])}, {smaller:.2f} of float32's"],
        ["speed here", f"{rate(parity['images_per_s'])} images/s, {faster:.2f} of float32's"],
        ["layers kept in float32", ", ".join(parity["kept"]) or "the last one"],
    ]
    print_table(f"{bundle.arch} in 8-bit integers", ["figure", "value"], rows, left=2)
    print_line(f"bundle  {bundle.path}")


def became(weights: dict[str, Any]) -> str:
    """What became of the keys of a weights file, in one line."""
    keys = weights["keys"]
    parts = [f"{weights['file']}: {keys['loaded']} keys loaded"]
    if keys["replaced"]:
        layers = dict.fromkeys(key.rpartition(".")[0] for key, _, _ in keys["replaced"])
        _, (there, *_), (here, *_) = keys["replaced"][0]
        parts.append(f"{', '.join(layers)} replaced ({there} classes there, {here} here)")
    for name, said in (("missing", "not in the file and begun anew"), ("unexpected", "in the file and not needed")):
        if keys[name]:
            parts.append(f"{said}: {', '.join(dict.fromkeys(key.partition('.')[0] for key in keys[name]))}")
    return "; ".join(parts)
