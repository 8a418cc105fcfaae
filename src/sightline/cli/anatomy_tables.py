"""The documents of `sightline anatomy` as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

from sightline.cli.output import print_line, print_table
from sightline.core.wording import UNKNOWN, decimal, percent, scaled, size, whole

Document = dict[str, Any]

TOTALS: tuple[tuple[str, Callable[[Document], str]], ...] = (
    ("input", lambda n: shape(n["input"])),
    ("style", lambda n: n["style"]),
    ("classes", lambda n: whole(n["classes"])),
    ("layers", lambda n: whole(n["total"]["layers"])),
    ("parameters", lambda n: whole(n["total"]["parameters"])),
    ("  without auxiliary heads", lambda n: whole(n["total"]["parameters_without_auxiliary"])),
    ("MACs", lambda n: whole(n["total"]["macs"])),
    ("FLOPs", lambda n: whole(n["total"]["flops"])),
    ("size in float32", lambda n: size(n["total"]["float32_bytes"])),
    ("size in int8", lambda n: size(n["total"]["int8_bytes"])),
    ("peak of activations", lambda n: size(n["total"]["peak_activation_bytes"])),
    ("receptive field", lambda n: pixels(n["total"]["receptive_field"])),
)


def show_network(document: Document, *, stages: bool = True) -> None:
    """A network's stages, then its totals in a line."""
    total = document["total"]
    if stages:
        columns = ("stage", "layers", "output", "parameters", "MACs", "of all", "activations")
        rows = [
            [
                stage["name"],
                whole(stage["layers"]),
                shape(stage["output"]),
                whole(stage["parameters"]),
                scaled(stage["macs"]),
                percent(stage["macs"] / total["macs"]),
                scaled(stage["activations"]),
            ]
            for stage in document["stages"]
        ]
        print_table(title(document), columns, rows)
    print_line(
        f"total  {whole(total['layers'])} layers, {scaled(total['parameters'])} parameters, "
        f"{scaled(total['macs'])} MACs ({scaled(total['flops'])} FLOPs), {size(total['float32_bytes'])} in float32, "
        f"{size(total['int8_bytes'])} in int8, activations peak at {size(total['peak_activation_bytes'])}, "
        f"receptive field {pixels(total['receptive_field'])} pixels"
    )
    if auxiliary := document["auxiliary"]["parameters"]:
        print_line(f"of them {scaled(auxiliary)} parameters are in auxiliary heads, which run in training only")


def show_layers(document: Document) -> None:
    """Every layer of a network in the order they run."""
    columns = ("layer", "kind", "output", "kernel", "parameters", "MACs", "activations", "sees")
    rows = [
        [
            layer["name"],
            layer["kind"],
            shape(layer["output"]),
            window(layer),
            whole(layer["parameters"]),
            scaled(layer["macs"]),
            scaled(layer["activations"]),
            pixels(layer["receptive_field"]),
        ]
        for layer in document["layers"]
    ]
    print_table(title(document), columns, rows, left=2)


def show_comparison(documents: Sequence[Document], *, stages: bool = True) -> None:
    """Networks side by side: stage by stage, then their totals."""
    if stages:
        columns = [column for document in documents for column in (document["name"], "params", "MACs")]
        rows = [
            [cell for stage in row for cell in (stage_cells(stage) if stage else ("", "", ""))]
            for row in zip_longest(*(document["stages"] for document in documents))
        ]
        print_table("Stages, their outputs and costs", columns, rows, left=range(0, len(columns), 3))
    rows = [[name, *(say(document) for document in documents)] for name, say in TOTALS]
    print_table("Totals", ["", *(document["name"] for document in documents)], rows)


def stage_cells(stage: Document) -> tuple[str, str, str]:
    """A stage beside another: what it is, parameters, MACs."""
    return f"{stage['name']} {shape(stage['output'])}", scaled(stage["parameters"]), scaled(stage["macs"])


def window(layer: Document) -> str:
    """The window a layer looks through, with its stride and groups where they are not 1: 3x3 /2 g32."""
    if not layer["kernel"]:
        return ""
    stride, groups = max(layer["stride"]), layer["groups"] or 1
    return joined(layer["kernel"]) + f" /{stride}" * (stride > 1) + f" g{groups}" * (groups > 1)


def show_convolution(document: Document) -> None:
    """A convolution's arithmetic."""
    general, formula = document["general"], document["formula"]
    height, width, channels = document["output"]
    print_line(f"output      {height} x {width} x {channels}")
    print_line(f"  height    {formula['height']}")
    print_line(f"  width     {formula['width']}")
    print_line(f"            {general['output']}")
    for name, figure in (("parameters", "parameters"), ("MACs", "macs")):
        print_line(f"{name:<10}  {formula[figure]}")
        print_line(f"            {general[figure]}")
    print_line(f"FLOPs       2 x {document['macs']:,} = {document['flops']:,}")


def show_papers(document: Document) -> None:
    """Every figure of the papers beside ours; differences and remarks as numbered sentences below."""
    said = [row["difference"] or row["remark"] for row in document["rows"]]
    sentences = list(dict.fromkeys(sentence for sentence in said if sentence))
    rows = [
        [
            row["network"],
            row["figure"],
            row["paper"] or "",
            row["notes_say"] or "",
            whole(row["exact"]) if row["exact"] else "",
            figure(row["ours"]),
            {True: "yes", False: "no", None: ""}[row["agrees"]],
            str(sentences.index(sentence) + 1) if sentence else "",
        ]
        for row, sentence in zip(document["rows"], said, strict=True)
    ]
    columns = ("network", "figure", "paper", "notes", "exact", "ours", "agree", "see")
    print_table("Papers, notes, and what is counted here", columns, rows, left=2)
    print_line(document["convention"])
    for number, sentence in enumerate(sentences, 1):
        print_line(f"{number:>3}  {sentence}")


def figure(value: float | None) -> str:
    """A count, or a ratio with three decimals."""
    return whole(value) if value is None or value == int(value) else decimal(value)


def show_ideas(document: Document) -> None:
    """Each idea with and without, and the scaling curves."""
    rows = [
        [
            idea["name"],
            f"{idea['with']['what']} / {idea['without']['what']}",
            {"macs": "MACs", "parameters": "parameters"}[idea["figure"]],
            scaled(idea["with"][idea["figure"]]),
            scaled(idea["without"][idea["figure"]]),
            decimal(idea["ratio"]),
        ]
        for idea in document["ideas"]
    ]
    print_table("Ideas", ["idea", "with it / without", "figure", "with", "without", "remains"], rows, left=3)
    for name, curve in document["scaling"].items():
        points = [
            [
                f"{point['at']:g}",
                point["network"],
                f"{point['size']}",
                scaled(point["parameters"]),
                scaled(point["macs"]),
            ]
            for point in curve["points"]
        ]
        print_table(name, [curve["along"], "network", "pixels", "parameters", "MACs"], points, left=2)


def show_published(document: Document) -> None:
    """Every network's published accuracy beside its cost."""
    rows = [
        [
            row["network"],
            decimal(row["top1"], 1),
            decimal(row["top5"], 1),
            f"{row['size']}",
            scaled(row["parameters"]),
            scaled(row["macs"]),
            row["source"],
        ]
        for row in document["rows"]
    ]
    columns = ("network", "top-1, %", "top-5, %", "pixels", "parameters", "MACs", "published in")
    print_table("Accuracy on ImageNet's validation pictures, one crop", columns, rows)


def title(document: Document) -> str:
    """What was traced."""
    style = ", paper style" if document["style"] == "paper" else ""
    return f"{document['name']}{style}, input {shape(document['input'])}, {document['classes']:,} classes"


def shape(sides: Sequence[int]) -> str:
    """56x56x64 of [64, 56, 56]: channels last, as `conv --in` reads it."""
    channels, *places = sides
    return joined([*places, channels])


def joined(sides: Sequence[int]) -> str:
    """3x3."""
    return "x".join(map(str, sides))


def pixels(field: int | None) -> str:
    """A receptive field's side; a dash for the whole picture."""
    return UNKNOWN if field is None else str(field)
