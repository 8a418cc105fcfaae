"""`sightline scratch explore`: one picture's way through a network, as a page to learn from."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sightline.cli.output import Bars, print_json, print_line
from sightline.cli.parameters import Json
from sightline.core.artifact import check_writable
from sightline.core.errors import UserError, closest, named
from sightline.core.wording import percent

if TYPE_CHECKING:
    from PIL import Image

    from sightline.data.preprocess import Preprocess
    from sightline.scratch.network import Network

SMALL = 64  # pixels: up to this, networks take their form for small pictures
CLASSES = 10


@dataclass(frozen=True)
class Explored:
    """A network with what brings pictures to it; `seed` is what an untrained one was drawn from."""

    network: Network
    name: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    seed: int | None


def command(
    network: Annotated[
        str,
        typer.Argument(
            metavar="RUN|NETWORK",
            help="A run's directory, its name under runs/, a bundle; or a network's name, such as resnet20, untrained.",
        ),
    ],
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="The picture to follow.")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="The page to write.")] = Path("explore.html"),
    class_name: Annotated[
        str | None,
        typer.Option("--class", metavar="NAME", help="Take the loss against it.", show_default="what the network says"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**32 - 1, help="Of NETWORK: what its numbers are drawn from.", show_default="0"),
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=2, max=100_000, help="Of NETWORK: its classes.", show_default="10")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=16, max=1024, help="Of NETWORK: the picture's side in pixels.", show_default="its own"),
    ] = None,
    json: Json = False,
) -> None:
    """Show how a convolutional network sees one picture, step by step, as a page that needs nothing else.

    Its kernels and every layer's maps, one number spelled out as patch times kernel, what that number sees, the
    gradient's way back, and what the answer rests on. Computed in NumPy, of your own model and picture.
    """
    import numpy as np

    from sightline.data.pictures import open_picture
    from sightline.report.explore_page import explore_page
    from sightline.scratch.pictures import normalised
    from sightline.scratch.seeing import explore, plain

    picture = open_picture(image)
    explored = trained(network, seed, classes, size) or untrained(network, picture, seed, classes, size)
    target = None if class_name is None else place_of(class_name, explored)
    check_writable(out)
    preprocess = explored.preprocess
    pixels = preprocess(picture)
    mean, deviation = (np.array(of, np.float32) for of in (preprocess.mean, preprocess.std))
    found = explore(explored.network, normalised(pixels[None], mean, deviation), target, Bars())
    given = {
        "kind": "exploration",
        "network": explored.name,
        "seed": explored.seed,
        "picture": Path(image).name,
        "classes": list(explored.classes),
        "mean": list(preprocess.mean),
        "deviation": list(preprocess.std),
        "pixels": pixels,
        "command": shlex.join(["sightline", *sys.argv[1:]]),
    }
    document = plain(given) | found.document()
    explore_page(document, out)
    if json:
        print_json({**document, "report": str(out)})
        return
    said = f"{explored.name} says {explored.classes[found.label]}, {percent(float(found.probabilities[found.label]))}"
    print_line(said if explored.seed is None else f"{said} (untrained)")
    print_line(f"page  {named(out)}")


def trained(name: str, *untrained_only: int | None) -> Explored | None:
    """The network of a Run or Bundle; None when `name` is neither.

    UserError when it is not there in NumPy, or for options that only an untrained one has.
    """
    from sightline.api import is_network, load
    from sightline.scratch.bundles import from_bundle

    if not is_network(name):
        return None
    if any(option is not None for option in untrained_only):
        raise UserError(f"{named(name)} is trained: --seed, --classes and --size are for a network's name")
    bundle = load(name)
    rebuilt = from_bundle(bundle.path)
    return Explored(rebuilt.network, rebuilt.arch, rebuilt.classes, bundle.preprocess, None)


def untrained(name: str, picture: Image.Image, seed: int | None, classes: int | None, size: int | None) -> Explored:
    """The network called `name` with drawn numbers, for grey pictures if `picture` is grey.

    UserError, with what is near, when `name` is neither a network nor a Run.
    """
    from sightline.data.preprocess import Preprocess
    from sightline.run import RUNS
    from sightline.scratch.architectures import NETWORKS, make, usual_size

    base = name.partition(":")[0]
    if base not in NETWORKS:
        if Path(name).exists():
            raise UserError(f"{named(name)} holds neither a run nor a bundle: name a run, a bundle or a network")
        near = closest(base, [*NETWORKS, *(path.parent.name for path in RUNS.glob("*/run.json"))])
        raise UserError(
            f'"{named(name)}" is neither a run nor a network in NumPy{named(near) or ":"} there are '
            f"{', '.join(NETWORKS)}"
        )
    side, channels = size or usual_size(base), 1 if picture.mode == "L" else 3
    network = make(name, classes=classes or CLASSES, channels=channels, size=side, small=side <= SMALL)
    network.initialise(seed or 0)
    names = tuple(f"class {number}" for number in range(classes or CLASSES))
    half = (0.5,) * channels
    return Explored(network, name, names, Preprocess(side, channels, mean=half, std=half), seed or 0)


def place_of(name: str, explored: Explored) -> int:
    """The number of the class called `name`; UserError, with the nearest, when there is none."""
    if name not in explored.classes:
        near = named(closest(name, explored.classes))
        known = ", ".join(map(named, explored.classes[:CLASSES]))
        more = f" and {len(explored.classes) - CLASSES} more" if len(explored.classes) > CLASSES else ""
        raise UserError(f'{named(explored.name)} has no class "{named(name)}"{near or ":"} there are {known}{more}')
    return explored.classes.index(name)
