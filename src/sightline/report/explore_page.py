"""The page of an exploration: one picture's way through a network, to learn from.

The document is that of `sightline.scratch.seeing` with `network`, `picture` (names), `classes`, `seed` (None of a
trained network), `pixels` (what the network was given, before it is normalised), `mean` and `deviation` a channel.
One HTML file without anything from elsewhere; its script only makes it livelier, every figure is there without.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from sightline.core.wording import percent
from sightline.report import explore_pictures as pictures
from sightline.report import explore_words as words
from sightline.report.page import Section, page

Document = Mapping[str, Any]
TOP = 5  # classes named
FRAMES = 12  # receptive fields that are drawn
OPEN = 16  # layers up to which none is folded away
_STATIC = Path(__file__).parent / "static"


def explore_page(document: Document, out: Path) -> Path:
    """Write the page `out` and return it; needs neither Altair nor vl-convert."""
    pixels = pictures.array(document["pixels"])
    first, *further = document["products"]
    sections = [
        _answer(document, pixels),
        _kernels(document),
        _product(document, first),
        _sliding(document, further),
        _fields(document),
        _layers(document),
        _gradients(document),
        _removals(document),
    ]
    return page(
        f"How {document['network']} sees {document['picture']}",
        [section for section in sections if section],
        out,
        pictures={},
        subtitle=words.subtitle(document, pixels.shape),
        rules=(_STATIC / "explore.css").read_text(encoding="utf-8"),
        script=(_STATIC / "explore.js").read_text(encoding="utf-8"),
    )


def _answer(document: Document, pixels: np.ndarray) -> Section:
    probabilities = document["probabilities"]
    best = np.argsort(-np.array(probabilities), kind="stable")[:TOP]
    data = {
        "said": words.answer(document, pixels),
        "address": pictures.photo(pixels),
        "size": pixels.shape[:2],
        "name": document["picture"],
        "top": [(document["classes"][i], probabilities[i]) for i in best],
    }
    return Section("answer", "What it says", "explore_answer.html.j2", data)


def _kernels(document: Document) -> Section:
    found = document["kernels"]
    drawn = pictures.kernels(found["weights"]), pictures.maps(found["maps"])
    shown = list(zip(found["maps"]["channels"], *drawn, strict=True))
    data = {"said": words.kernels(document), "shown": shown, "after": document["arithmetic"]["after"]}
    return Section("kernels", "The first kernels", "explore_kernels.html.j2", data)


@dataclass(frozen=True)
class Spelled:
    """A channel of a product: its name, its patch, kernel and products as grids, and what they come to."""

    name: str
    patch: pictures.Grid
    kernel: pictures.Grid
    products: pictures.Grid
    total: str


def _spelled(one: Document, colours: bool) -> list[Spelled]:
    patch, kernel = np.array(one["patch"])[one["shown"]], np.array(one["kernel"])[one["shown"]]
    products = patch * kernel
    most = [float(np.abs(values).max()) for values in (patch, kernel, products)]
    if colours:  # every window of the picture is shown by these
        most[0] = max(most[0], 2.5)
    found = []
    for i, channel in enumerate(one["shown"]):
        name = words.COLOURS[channel] if colours and len(one["patch"]) == 3 else f"channel {channel + one['begins']}"
        total = pictures.signed(one["by_channel"][channel], pictures.decimals(most[2]))
        found.append(
            Spelled(
                "" if colours and len(one["patch"]) == 1 else name, pictures.grid(patch[i], most[0]),
                pictures.grid(kernel[i], most[1]), pictures.grid(products[i], most[2]), total,
            )
        )  # fmt: skip
    return found


def _product(document: Document, one: Document) -> Section:
    a, found = document["arithmetic"], document["kernels"]
    script = {
        "size": document["pixels"]["shape"], "pixels": document["pixels"]["base64"], "mean": document["mean"],
        "deviation": document["deviation"], "weights": found["weights"], "biases": found["biases"], "after": a["after"],
        "channels": found["maps"]["channels"], "stride": a["stride"], "begins": a["begins"],
        "dilation": a["dilation"],
    }  # fmt: skip
    map_of = dict(zip(found["maps"]["channels"], pictures.maps(found["maps"]), strict=True))
    extent = [dilation * (width - 1) + 1 for dilation, width in zip(a["dilation"], a["kernel"], strict=True)]
    begins = [
        place * stride + start
        for place, stride, start in zip((one["row"], one["column"]), a["stride"], a["begins"], strict=True)
    ]
    data = {
        "said": words.product(document, one), "one": one, "arithmetic": a, "spelled": _spelled(one, True),
        "script": json.dumps(script, separators=(",", ":")) if a["groups"] == 1 else "", "map": map_of[one["channel"]],
        "window": (begins[1], begins[0], extent[1], extent[0]), "channels": found["maps"]["channels"],
        "size": document["pixels"]["shape"],
        "figures": [pictures.signed(one[key], 3) for key in ("total", "bias", "answer")],
    }  # fmt: skip
    return Section("product", "One number, spelled out", "explore_product.html.j2", data)


def _sliding(document: Document, further: Sequence[Document]) -> Section:
    a = document["arithmetic"]
    extent = [dilation * (width - 1) + 1 for dilation, width in zip(a["dilation"], a["kernel"], strict=True)]
    steps = [
        {**step, "text": pictures.signed(step["answer"], 2), "window": (step["left"], step["top"], *extent[::-1])}
        for step in document["steps"]
    ]
    deeper = [(one, words.product(document, one), _spelled(one, False)) for one in further]
    data = {"said": words.sliding(document), "steps": steps, "arithmetic": a, "extent": extent, "deeper": deeper,
            "size": document["pixels"]["shape"],
            "product": words.sides((*a["after"], *a["kernel"], a["before"][2] // a["groups"]))}  # fmt: skip
    return Section("sliding", "Step by step", "explore_sliding.html.j2", data)


def _fields(document: Document) -> Section:
    found = [
        {**f, "size": words.sides((f["bottom"] - f["top"], f["right"] - f["left"])),
         "text": pictures.signed(f["value"], 2)} for f in document["fields"]
    ]  # fmt: skip
    chosen = sorted({round(i) for i in np.linspace(0, len(found) - 1, min(FRAMES, len(found)))})
    kinds = {layer["name"]: layer["kind"] for layer in document["layers"]}
    data = {"said": words.fields(document), "fields": found, "drawn": [found[i] for i in chosen], "kinds": kinds,
            "size": document["pixels"]["shape"]}  # fmt: skip
    return Section("fields", "What one number sees", "explore_fields.html.j2", data)


@dataclass(frozen=True)
class Shown:
    """A layer's row: its words, and its maps as (channel, address), or its vector as (address, width, height)."""

    name: str
    kind: str
    shape: str
    figures: str
    side: tuple[int, int]
    maps: tuple[tuple[int, str], ...]
    vector: tuple[str, int, int] | None


def _layers(document: Document) -> Section:
    """The layers in stages of one height and width; of many layers the last of each stage stands for it.

    Zeros around belong to what reads them.
    """
    shown = [_shown(layer) for layer in document["layers"]]
    sides = [layer.side for layer in shown]
    for i in reversed(range(len(shown) - 1)):
        if shown[i].kind == "zeros around":
            sides[i] = sides[i + 1]
    stages = []
    for side, run in groupby(zip(sides, shown, strict=True), key=itemgetter(0)):
        of = [layer for _, layer in run]
        title = f"{words.sides(side)} pixels" if side != (0, 0) else "vectors, without rows and columns"
        stages.append((title, of if len(shown) <= OPEN else of[-1:], [] if len(shown) <= OPEN else of[:-1]))
    data = {"said": words.layers(document), "stages": stages}
    return Section("layers", "Layer by layer", "explore_layers.html.j2", data)


def _shown(layer: Document) -> Shown:
    spatial = layer["maps"] is not None
    figures = (
        f"mean\u00a0{words.number(layer['mean'])}\u00a0· deviation\u00a0{words.number(layer['deviation'])}\u00a0· "
        f"{percent(layer['zeros'])}\u00a0zeros"
    )
    return Shown(
        layer["name"], layer["kind"], words.sides(layer["shape"]), figures,
        (layer["shape"][0], layer["shape"][1]) if spatial else (0, 0),
        tuple(zip(layer["maps"]["channels"], pictures.maps(layer["maps"]), strict=True)) if spatial else (),
        None if spatial else pictures.vector(layer["values"]),
    )  # fmt: skip


def _gradients(document: Document) -> Section | None:
    """What arrives at each layer for 1 at the logits, so that how sure the network is does not count.

    Lines over the depth on a logarithmic scale, in percent of the chart's width and height.
    """
    lines = [
        [
            {**one, "weight": one["weight"] / of["logits"], "answer": one["answer"] / of["logits"]}
            for one in of["layers"]
        ]
        for of in (document["flow"], document["plain_flow"])
        if of and of["logits"] > 0
    ]
    if not lines:
        return None
    known = [one["weight"] for line in lines for one in line if one["weight"] > 0]
    low, high = (math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))) if known else (0, 1)
    high = max(high, low + 1)
    count = max(len(lines[0]) - 1, 1)

    def up(value: float) -> float:
        return round(95 - 90 * (math.log10(value) - low) / (high - low), 2)

    drawn = [
        [(round(9 + 89 * i / count, 2), up(one["weight"]), one) for i, one in enumerate(line) if one["weight"] > 0]
        for line in lines
    ]
    step = max(1, -(-(high - low) // 8))
    data = {
        "said": words.gradients(document), "lines": drawn, "number": words.number,
        "ticks": [(up(10.0**power), f"10{_raised(power)}") for power in range(low, high + 1, step)],
        "rows": list(zip(*lines, strict=True)), "ends": (lines[0][0]["node"], lines[0][-1]["node"]),
    }  # fmt: skip
    return Section("gradients", "The gradient's way back", "explore_gradients.html.j2", data)


def _raised(power: int) -> str:
    return str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _removals(document: Document) -> Section | None:
    tables = [("Without one shortcut", document["shortcuts"]), ("Without one branch", document["branches"])]
    if not any(rows for _, rows in tables):
        return None
    names = document["classes"]
    data = {
        "said": words.removals(document), "whole": max(document["probabilities"]), "label": document["label"],
        "tables": [(title, rows) for title, rows in tables if rows], "classes": names,
        "without": document["without_shortcuts"],
    }  # fmt: skip
    return Section("removals", "What the answer rests on", "explore_removals.html.j2", data)
