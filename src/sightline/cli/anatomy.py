"""`sightline anatomy`: what a network consists of and costs, beside its paper; a convolution's arithmetic; ideas."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sightline.cli.output import print_json, print_line
from sightline.cli.parameters import Json, Stem, Style, given
from sightline.core.errors import UserError, closest, named


class Anatomy(TyperGroup):
    """The verbs below anatomy; a first word that is none of them names a network.

    No network has a name like a verb's, so a word like one is a typing error.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, those of a network where no verb is named."""
        word = args[0] if args else ""
        if word in self.commands:
            return super().parse_args(ctx, args)
        if near := closest(word, self.commands):
            raise UserError(f'"{named(word)}" is neither a network nor a verb of anatomy{near}')
        if late := next((arg for arg in args if arg in self.commands), None):
            raise UserError(f"{late} comes first: sightline anatomy {late}, and then its options")
        return super().parse_args(ctx, ["network", *args])


app = typer.Typer(cls=Anatomy, help="Say what a network consists of and costs, layer by layer, without its weights.")


@app.command()
def network(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A network, such as resnet50 or mobilenet_v2:width=0.5.")
    ] = None,
    against: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A network to set beside it; give it again for more.")
    ] = None,
    pixels: Annotated[
        int | None,
        typer.Option("--input", min=1, max=65536, help="Picture side in pixels.", show_default="the network's"),
    ] = None,
    style: Annotated[
        Style, typer.Option(help="Which to follow where paper and public weights differ.")
    ] = "torchvision",
    stem: Annotated[Stem | None, typer.Option(help="The first layers.", show_default="the network's")] = None,
    classes: Annotated[
        int | None, typer.Option(help="Classes to tell apart.", show_default="1000; 10 where made for CIFAR-10")
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Show every layer instead of the stages.")] = False,
    papers: Annotated[bool, typer.Option("--papers", help="Instead: all networks beside their papers.")] = False,
    html: Annotated[Path | None, typer.Option(dir_okay=False, help="Also write a page with the drawing.")] = None,
    png: Annotated[Path | None, typer.Option(dir_okay=False, help="Also write the drawing as a picture.")] = None,
    json: Json = False,
) -> None:
    """Say what NAME consists of and costs: shapes, parameters, multiply-adds, receptive fields, memory.

    One MAC is one multiply-add of a convolution or linear layer (papers say FLOP). `sightline anatomy conv` has one
    convolution's arithmetic, `sightline anatomy ideas` what the ideas of the papers save, `sightline anatomy published`
    published accuracies beside what the networks cost.
    """
    from sightline.cli import anatomy_tables as tables

    if html and png and html.resolve() == png.resolve():
        raise UserError(f"--html and --png are the same file, {named(html)}: give each its own")
    if papers:
        if given(ctx, "papers", "json"):
            raise UserError("--papers is the table of all networks: give it alone, or with --json")
        from sightline.anatomy import papers as table

        document = table.table()
        print_json(document) if json else tables.show_papers(document)
        return
    if not name:
        raise UserError("anatomy needs a network: try sightline anatomy resnet50, or --papers for a table of all")
    from sightline.anatomy.trace import trace

    names = [name, *(against or ())]
    if len(set(names)) < len(names):
        raise UserError(f"{named(max(names, key=names.count))} is given twice: --against takes other networks")
    options: dict[str, Any] = {"size": pixels, "num_classes": classes, "stem": stem, "style": style}
    found = [trace(one, **options).document() for one in names]
    document = {"kind": "anatomies", "networks": found} if against else found[0]
    written = write_drawings(document, html, png)
    if json:
        print_json({**document, **written})
        return
    for one in found if layers else ():
        tables.show_layers(one)
    if against:
        tables.show_comparison(found, stages=not layers)
    else:
        tables.show_network(found[0], stages=not layers)
    for kind, path in written.items():
        print_line(f"{kind}  {named(path)}")


def write_drawings(document: dict[str, Any], html: Path | None, png: Path | None) -> dict[str, str]:
    """The page and the picture that were asked for; their paths by kind."""
    if not (html or png):
        return {}
    from sightline.anatomy import ideas, published
    from sightline.report import anatomy_page

    document = {**document, "published": published.table()}
    if png:
        anatomy_page.write_png(document, png)
    if html:
        counted = ideas.table()
        anatomy_page.write_page({**document, "ideas": counted["ideas"], "scaling": counted["scaling"]}, html)
    return {kind: str(path) for kind, path in (("html", html), ("png", png)) if path}


@app.command()
def conv(
    shape: Annotated[str, typer.Option("--in", metavar="HxWxC", help="Height, width and channels, as 28x28x192.")],
    kernel: Annotated[int, typer.Option(help="The kernel's side in pixels.")],
    filters: Annotated[int, typer.Option(help="Filters: channels that come out.")],
    stride: Annotated[int, typer.Option(help="Pixels from place to place.")] = 1,
    padding: Annotated[str, typer.Option(help="same, valid, or pixels of zeros on each side.")] = "same",
    dilation: Annotated[int, typer.Option(help="Pixels between the kernel's taps.")] = 1,
    groups: Annotated[int, typer.Option(help="Groups of channels that do not see each other.")] = 1,
    json: Json = False,
) -> None:
    """Work out one convolution: output size, parameters and multiply-adds, with the formulas filled in."""
    from sightline.anatomy.arithmetic import convolution, parse_padding, parse_shape
    from sightline.cli.anatomy_tables import show_convolution

    document = convolution(
        parse_shape(shape), filters=filters, kernel=kernel, stride=stride, padding=parse_padding(padding),
        dilation=dilation, groups=groups,
    )  # fmt: skip
    print_json(document) if json else show_convolution(document)


@app.command()
def ideas(json: Json = False) -> None:
    """Work out what the ideas of the papers save or cost: the same layers with and without each."""
    from sightline.anatomy.ideas import table
    from sightline.cli.anatomy_tables import show_ideas

    document = table()
    print_json(document) if json else show_ideas(document)


@app.command()
def published(json: Json = False) -> None:
    """Set the accuracies that were published for the networks beside their parameters and multiply-adds."""
    from sightline.anatomy.published import table
    from sightline.cli.anatomy_tables import show_published

    document = table()
    print_json(document) if json else show_published(document)
