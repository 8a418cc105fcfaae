"""`sightline index`: the embeddings of a dataset's pictures, ready to be searched."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sightline.cli.about_index import ABOUT, few_doubts, write_map, write_page
from sightline.cli.output import Bars, print_json, print_line, print_table
from sightline.cli.parameters import DATA_HELP, Json, Out, given
from sightline.core.errors import UserError, named
from sightline.core.wording import percent, size

ASKING = ("data", "describe", "verify", "duplicates", "pca_table", "draw_map", "json")


def command(
    ctx: typer.Context,
    data: Annotated[str, typer.Argument(metavar="DATA|INDEX", help=f"{DATA_HELP} Or an index, to ask about it.")],
    run: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="The run, or bundle, whose network embeds the pictures.", show_default=False),
    ] = None,
    arch: Annotated[
        str | None, typer.Option(help="The network that --weights are for.", show_default="what the file says")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="imagenet|FILE", help="Instead of a run: a network as it comes.", show_default=False),
    ] = None,
    pixels: Annotated[
        bool, typer.Option("--pixels", help="Instead of a network: the pictures' own pixels, a baseline.")
    ] = False,
    out: Out = None,
    describe: Annotated[bool, typer.Option("--describe", help="Of INDEX: what it is, and all that was tried.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Of INDEX: measure again what it finds.")] = False,
    duplicates: Annotated[
        bool, typer.Option("--duplicates", help="Of INDEX: near duplicates, and labels that neighbours contradict.")
    ] = False,
    within: Annotated[float, typer.Option(min=0, help="The distance up to which pictures are near duplicates.")] = 0.02,
    pca_table: Annotated[
        bool, typer.Option("--pca-table", help="Of INDEX: what neighbours are worth in fewer dimensions.")
    ] = False,
    draw_map: Annotated[
        bool, typer.Option("--map", help="The pictures on a plane, those alike near each other; also of an INDEX.")
    ] = False,
    split: Annotated[
        Literal["train", "validation", "test"] | None, typer.Option(help="These pictures alone.", show_default="all")
    ] = None,
    metric: Annotated[Literal["cosine", "euclidean"], typer.Option(help="What is near.")] = "cosine",
    pca: Annotated[
        str,
        typer.Option(metavar="auto|none|N", help="How many principal axes vectors keep; auto chooses by the labels."),
    ] = "auto",
    whiten: Annotated[bool, typer.Option("--whiten", help="Let every axis that is kept count the same.")] = False,
    method: Annotated[
        Literal["auto", "exact"], typer.Option(help="auto: the fastest method that finds enough; exact: no other.")
    ] = "auto",
    target_recall: Annotated[
        float, typer.Option(help="The share of the true neighbours that a method must find.")
    ] = 0.99,
    k: Annotated[int, typer.Option("-k", min=1, help="How many neighbours that is measured for.")] = 5,
    tune_budget: Annotated[
        str | None, typer.Option(help="Time for choosing a method (5m).", show_default="as long as it takes")
    ] = None,
    json: Json = False,
) -> None:
    """Embed the usable pictures of DATA and keep the vectors for search, in indexes/DATA, with a report.

    Given again it embeds what is new alone. Or, with --describe, --verify, --duplicates, --pca-table or --map, say what
    an INDEX is.
    """
    from sightline import api

    asked = {"--describe": describe, "--verify": verify, "--duplicates": duplicates, "--pca-table": pca_table}
    if (Path(data) / "index.json").is_file():
        asked["--map"] = draw_map
    wanted = [option for option, given in asked.items() if given]
    if len(wanted) > 1:
        raise UserError(f"{' and '.join(wanted)}: ask for one at a time")
    if wanted:
        making = [_option(name) for name in given(ctx, *ASKING) if name != "within" or not duplicates]
        if making:
            raise UserError(f"{' and '.join(making)}: leave it out with {wanted[0]}, which asks about what is made")
        from sightline.search.index import Index

        return ABOUT[wanted[0]](Index.open(data), within, json)
    index = api.index(
        data, run, out, arch=arch, weights=weights, pixels=pixels, split=split, metric=metric, pca=axes(pca),
        whiten=whiten, method=method, target_recall=target_recall, k=k, tune_budget=tune_budget, progress=Bars(),
    )  # fmt: skip
    if draw_map and len(index) > 1:
        write_map(index)
    page = write_page(index, few_doubts(index, within))
    document = {"kind": "index", "path": str(index.path), "report": str(page), **index.document}
    if json:
        print_json(document)
        return
    show(document)
    print_line(f"report  {page}")


def _option(parameter: str) -> str:
    return "-k" if parameter == "k" else f"--{parameter.replace('_', '-')}"


def axes(text: str) -> int | str:
    """What --pca was given; UserError when it is neither auto, none nor a number."""
    if text in ("auto", "none"):
        return text
    if not text.isdecimal():
        raise UserError(f'--pca "{named(text)}": use auto, none, or a number of dimensions')
    return int(text)


def show(document: dict[str, Any]) -> None:
    """What the Index is and how it was chosen."""
    tuning, pca, found = document["tuning"], document["pca"], document["quality"]
    dims = f"{document['dim']:,}"
    if pca:
        dims += f" of {document['embedding_dim']:,}, {percent(pca['explained'])} of the variance: {pca['why']}"
    method = document["backend"]["name"]
    parameters = ", ".join(f"{name} {value}" for name, value in document["backend"]["parameters"].items())
    rows = [
        ["pictures", f"{document['count']:,}"],
        ["dimensions", dims],
        ["method", f"{method} ({parameters})" if parameters else method],
    ]
    if tuning:
        chosen = tuning["chosen"]
        rows += [
            [
                "recall",
                f"{percent(chosen['recall'])} of the true {chosen['k']} (at least {percent(chosen['recall_low'])})",
            ],
            [
                "a query",
                f"{chosen['latency_us_median']:,.0f} us, one in a hundred {chosen['latency_us_p99']:,.0f} or more",
            ],
            ["read", size(chosen["size_bytes"])],
            ["why", tuning["why"]],
        ]
    if found:
        named_right = percent(found["neighbour_accuracy"])
        rows.append(
            ["same class", f"{percent(found['precision'])} of {found['k']} neighbours; they name {named_right}"]
        )
    print_table(f"Index {document['name']}", ["figure", "value"], rows, left=2)
    print_line(f"index  {document['path']}")
