"""What the page of an exploration says: sentences with the picture's own numbers in them.

`document` is that of `explore_page`. Rows, columns and channels are counted from 0, as in NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sightline.core.wording import decimal, percent, whole
from sightline.report.explore_pictures import decimals, signed

Document = Mapping[str, Any]


def number(value: float) -> str:
    """To three digits, with a real minus sign."""
    return f"{value:.3g}".replace("e-0", "e-").replace("-", "−") if value else "0"


def sides(shape: Sequence[int]) -> str:
    """Such as 28 × 28 × 16."""
    return " × ".join(map(str, shape))


def several(count: int, one: str, many: str = "") -> str:
    """The count with its noun."""
    return f"{whole(count)} {one if count == 1 else many or one + 's'}"


def subtitle(document: Document, shape: Sequence[int]) -> str:
    """What the network is, in figures."""
    parts = (
        "trained" if document["seed"] is None else f"untrained, seed {document['seed']}", f"{sides(shape)} numbers in",
        several(len(document["layers"]), "layer"), several(len(document["classes"]), "class", "classes"),
    )  # fmt: skip
    return " · ".join(parts)


def answer(document: Document, pixels: np.ndarray) -> list[str]:
    """What the network says, and how a pixel becomes what it is given."""
    names, probabilities = document["classes"], document["probabilities"]
    first, second = np.argsort(-np.array(probabilities), kind="stable")[:2]
    height, width, channels = pixels.shape
    row, column, channel = (int(i) for i in np.unravel_index(pixels.argmax(), pixels.shape))
    value, mean, deviation = int(pixels.max()), document["mean"][channel], document["deviation"][channel]
    colour = f" ({COLOURS[channel]})" if channels == 3 else ""
    said = [
        f"{document['network']} takes this picture for {names[first]} with a probability of "
        f"{percent(probabilities[first])}; next comes {names[second]} with {percent(probabilities[second])}.",
        f"It is given {sides((height, width, channels))} = {whole(pixels.size)} numbers. Each pixel is brought to the "
        f"range that the network is used to: the {value} at row {row}, column {column}{colour} becomes "
        f"({value} / 255 − {decimal(mean)}) / {decimal(deviation)} = {signed((value / 255 - mean) / deviation, 2)}.",
    ]
    if document["seed"] is not None:
        said.insert(
            0,
            f"This network is untrained: its numbers are drawn (seed {document['seed']}), not learnt. The arithmetic "
            "is the same as in a trained one, but what it says of the picture means nothing.",
        )
    return said


def kernels(document: Document) -> list[str]:
    """What kernels are, and which answers most."""
    found, arithmetic, product = document["kernels"], document["arithmetic"], document["products"][0]
    down, across = arithmetic["kernel"]
    over = arithmetic["before"][2] // arithmetic["groups"]
    shown, count = len(found["maps"]["channels"]), arithmetic["after"][2]
    of = "" if shown == count else f" (the {shown} that answer most are shown)"
    colour = (
        "A kernel is shown in its colours, where middle grey is 0: a bright edge beside a dark one looks for such an "
        "edge in the picture. In the maps"
        if over == 3
        else "In kernels and maps"
    )
    return [
        f"{found['node']} has {several(count, 'kernel')} of {sides((down, across, over))} numbers{of}. Each is laid on "
        "every place of the picture, and its map says how well that place looks like it.",
        f"{colour} amber is positive, blue negative, dark is 0. The strongest answer within the borders is "
        f"kernel {product['channel']}'s: {signed(product['answer'], 2)} at row {product['row']}, column "
        f"{product['column']}.",
    ]


def product(document: Document, one: Document) -> list[str]:
    """How one number comes about."""
    patch, kernel = np.array(one["patch"]), np.array(one["kernel"])
    products = patch * kernel
    most = int(products.argmax())
    channels, down, across = patch.shape
    bias = (
        f"with the bias of {_exact(one['bias'])} that is {_exact(one['total'] + one['bias'])}"
        if one["bias"]
        else "there is no bias"
    )
    said = [
        f"The largest number that {one['node']} answers, of windows within the borders, is in channel "
        f"{one['channel']} at row {one['row']}, column {one['column']}. The window there covers "
        f"{sides((down, across))} pixels of {several(channels, 'channel')}: {whole(patch.size)} numbers, each "
        "multiplied by the kernel's number at the same place.",
        f"The product that adds most is {number(patch.flat[most])} × {number(kernel.flat[most])} = "
        f"{number(products.flat[most])}. "
        f"All {whole(patch.size)} together are {_exact(one['total'])}; {bias}, and the network's own number is "
        f"{_exact(one['answer'])}.",
    ]
    if len(one["shown"]) < channels:
        rest = sum(one["by_channel"]) - sum(one["by_channel"][channel] for channel in one["shown"])
        said.append(
            f"Spelled out are the {len(one['shown'])} channels of {channels} that add or take most; the other "
            f"{channels - len(one['shown'])} come to {_exact(rest)}."
        )
    return said


def sliding(document: Document) -> list[str]:
    """The window's way, and what all of it costs."""
    a = document["arithmetic"]
    stride, around = a["stride"][0], -min(a["begins"])
    edge = (
        f" Around the picture lies a border of zeros, {several(around, 'pixel')} wide, so that the window also fits at "
        "its edge."
        if around
        else " There are no zeros before the picture's first row and column."
    )
    return [
        f"To the next number the window moves by {several(stride, 'pixel')}; kernel and bias stay the same. That is "
        f"all a convolution does: {whole(a['parameters'])} learnt numbers serve all {sides(a['after'][:2])} places."
        f"{edge}",
        f"Each of the {whole(math.prod(a['after']))} numbers it answers takes {_taps(a)} multiplications, "
        f"{whole(a['multiplications'])} in all. Joining every pixel with every answer by a weight of its own would "
        f"take {whole(math.prod(a['before']) * math.prod(a['after']))}.",
    ]


def fields(document: Document) -> list[str]:
    """How the view grows."""
    found, (height, width) = document["fields"], document["pixels"]["shape"][:2]
    first, last = found[0], found[-1]
    everything = next((f for f in found if _seen(f) == (height, width)), None)
    said = (
        f"{everything['node']} is the first whose number here sees the whole picture."
        if everything
        else "No layer with windows sees the whole picture: that is left to the layers after them."
    )
    return [
        f"A number of {first['node']} is made of {sides(_seen(first))} pixels, one of {last['node']} of "
        f"{sides(_seen(last))}: every window reads numbers that are made of windows themselves. {said}",
        "Each frame is what a strong number of that layer is made of, its largest whose own window lies within the "
        "borders; the frame ends where the picture does. Nothing "
        "outside of it, whatever it was, could change that number.",
    ]


def layers(document: Document) -> list[str]:
    """What becomes of the picture."""
    found = document["layers"]
    largest = max(found, key=lambda layer: math.prod(layer["shape"]))
    relus = [layer for layer in found if layer["kind"].startswith("ReLU")]
    said = [
        f"From {sides(document['pixels']['shape'])} numbers the network goes by way of up to "
        f"{sides(largest['shape'])} ({largest['name']}) to {several(len(document['classes']), 'class', 'classes')}. "
        "Early maps still look like the picture; later ones are small and say where something is, not what it looks "
        "like.",
        "Amber is positive, blue negative, dark is 0, on one scale for each layer. Of every layer the strongest "
        "channels are shown.",
    ]
    if relus:
        most = max(relus, key=lambda layer: layer["zeros"])
        said.append(
            f"A ReLU sets what is negative to 0: after {most['name']} {percent(most['zeros'])} of the numbers are "
            "zeros, and what is left says which kernels found something."
        )
    return said


def gradients(document: Document) -> list[str]:
    """How much of the gradient arrives."""
    flow, plain, target = document["flow"], document["plain_flow"], document["classes"][document["target"]]
    first, last = flow["layers"][0], flow["layers"][-1]
    said = [
        f"The loss against {target} is {number(flow['loss'])}. Its gradient begins at the logits with a length of "
        f"{number(flow['logits'])} and goes back layer by layer; at each it says how the weights would have to change. "
        f"For 1 at the logits {last['node']} gets {number(last['weight'] / flow['logits'])} and {first['node']}, the "
        f"last on the way, {number(first['weight'] / flow['logits'])}.",
        "It is taken with the network as it is in use: a single picture is no batch, so batch norms keep the means and "
        "variances of their training, and nothing is dropped.",
    ]
    if flow["loss"] < SURE:
        said.append(
            "The network is so sure of this that hardly any gradient is left, and it would learn next to nothing from "
            "this picture. --class NAME takes the loss against another class."
        )
    if plain and plain["logits"] > 0:
        arrives, alone = first["weight"] / flow["logits"], plain["layers"][0]["weight"] / plain["logits"]
        said.append(
            f"With its {several(len(document['shortcuts']), 'shortcut')} {first['node']} gets {number(arrives)} for 1 "
            f"at the logits, without them {number(alone)}. A sum hands the gradient on undiminished to its shortcut, "
            "whatever the layers beside it do."
        )
        if document["seed"] is None:
            said[-1] += (
                " These weights were learnt with shortcuts: a plain network trained with batch norm keeps its "
                "gradients too, and yet is harder to train (He et al. 2015, section 4.1)."
            )
    return said


def removals(document: Document) -> list[str]:
    """What the answer rests on."""
    name, probability = document["classes"][document["label"]], max(document["probabilities"])
    said = []
    for removed, noun in ((document["shortcuts"], "shortcut"), (document["branches"], "branch")):
        if not removed:
            continue
        worst = min(removed, key=lambda one: one["probability"])
        changed = sum(one["label"] != document["label"] for one in removed)
        whose = f"{worst['what']} of {worst['edges'][0][0]}" if noun == "branch" else f"that of {worst['edges'][0][0]}"
        said.append(
            f"Each row takes one {noun} away: zeros come instead, all else stays. Of "
            f"{several(len(removed), noun, 'branches' if noun == 'branch' else '')} {changed or 'none'} "
            f"{'changes' if changed in (0, 1) else 'change'} what the network says. Most rests on {whose}: without it "
            f"{name} falls from {percent(probability)} to {percent(worst['probability'])}."
            if worst["probability"] < probability
            else f"Each row takes one {noun} away: zeros come instead. None of {len(removed)} makes {name} less likely."
        )
    if document["without_shortcuts"]:
        all_ = document["without_shortcuts"]
        learnt = ": what it learnt are changes to what the shortcuts carry" if document["seed"] is None else ""
        said.append(
            f"Without any shortcut {name} has {percent(all_['probability'])}, and the network says "
            f"{document['classes'][all_['label']]}{learnt}."
        )
    return said


COLOURS = ("red", "green", "blue")
SURE = 0.01  # loss below which little gradient is left


def _exact(value: float) -> str:
    return signed(value, max(3, decimals(abs(value)) + 1))


def _taps(a: Document) -> str:
    of_kernel = (*a["kernel"], a["before"][2] // a["groups"])
    return f"{sides(of_kernel)} = {whole(math.prod(of_kernel))}"


def _seen(field: Document) -> tuple[int, int]:
    return field["bottom"] - field["top"], field["right"] - field["left"]
