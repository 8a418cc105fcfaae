"""`sightline export`: a bundle straight from public or own weights, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sightline.cli.output import Bars, print_json, print_line, print_table
from sightline.cli.parameters import ARCH_HELP, STEM_HELP, STYLE_DEFAULT, STYLE_HELP, WEIGHTS_HELP, Json, Stem, Style
from sightline.core.wording import scaled

CLASSES_HELP = "Class names in their order: a text file of one a line, or JSON."


def command(
    weights: Annotated[str, typer.Option(metavar="FILE|imagenet", help=WEIGHTS_HELP)],
    out: Annotated[Path, typer.Option(help="The bundle to write, a new directory.")],
    arch: Annotated[str | None, typer.Option(help=ARCH_HELP, show_default="as beside FILE")] = None,
    style: Annotated[Style | None, typer.Option(help=STYLE_HELP, show_default=STYLE_DEFAULT)] = None,
    stem: Annotated[Stem | None, typer.Option(help=STEM_HELP, show_default="the weights' own")] = None,
    classes: Annotated[
        Path | None, typer.Option(metavar="FILE", help=CLASSES_HELP, show_default="their numbers")
    ] = None,
    json: Json = False,
) -> None:
    """Make a verified bundle of weights as they are: predict with it, measure it, search by it.

    FILE.json beside FILE says network, style and preprocess; options go before it.
    """
    from sightline import api

    bundle = api.export(weights, arch, out=out, classes=classes, style=style, stem=stem, progress=Bars())
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
