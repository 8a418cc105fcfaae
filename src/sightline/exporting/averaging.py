"""The graph of a combination: it cuts the views out of one picture, shows them to the networks, and averages.

Views go through a network together, or one after the other where its graph asks for small batches (`slices`).

Smaller scales than the picture's are made of it by ONNX's Resize. A picture scaled twice is softer than one scaled
once; a bilinear step of less than 2 therefore does without antialiasing, as the first one had it (LOG.md, "Scales made
inside the graph").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from sightline.data.preprocess import Preprocess
from sightline.exporting.assembly import Assembly
from sightline.exporting.member import Member, Part
from sightline.exporting.views import View
from sightline.runtime import PICTURE_BYTES, Outputs

INT64 = np.iinfo(np.int64)
Average = Literal["probabilities", "logits"]
RESIZE: dict[str, dict[str, Any]] = {
    "nearest": {"mode": "nearest", "nearest_mode": "round_prefer_ceil"},
    "bilinear": {"mode": "linear"},
    "bicubic": {"mode": "cubic", "antialias": 1, "cubic_coeff_a": -0.5},
    "lanczos": {"mode": "cubic", "antialias": 1, "cubic_coeff_a": -0.5},  # the nearest to it that ONNX has
}


def averaged(members: Sequence[Member], preprocess: Preprocess, average: Average) -> bytes:
    """The ONNX file that takes pictures as `preprocess` makes them and answers with the average of `members`."""
    graph = Assembly()
    views = Views(graph, preprocess)
    logits, embeddings, maps = zip(*(_answers(graph, views, member, average) for member in members), strict=True)
    if average == "probabilities":
        joined = graph.node("Concat", *logits, axis=0)
        answer = graph.node("ReduceLogSumExp", joined, graph.constant([0]), keepdims=0)
    else:
        answer = graph.node("Sum", *logits)
    if len(members) > 1:
        embeddings = tuple(_unit(graph, name, member.weight) for name, member in zip(embeddings, members, strict=True))
    shapes = dict(members[0].parts[0].shapes)
    shapes["embedding"] = [sum(member.parts[0].shapes["embedding"][0] for member in members)]
    needed = max(part.bytes_a_picture for member in members for part in member.parts)
    return graph.model(
        [preprocess.size, preprocess.size, preprocess.channels],
        [answer, graph.node("Concat", *embeddings, axis=1), maps[0]],
        [shapes[name] for name in Outputs._fields],
        {PICTURE_BYTES: str(needed)},
    )


class Views:
    """The views of the graph's picture; each scale, its border and the mirror image of both are made once."""

    def __init__(self, graph: Assembly, preprocess: Preprocess) -> None:
        self._graph = graph
        self._size, self._resize = preprocess.size, RESIZE[preprocess.interpolation]
        self._made = {(preprocess.size, 0, False): "images"}
        self._axes = graph.constant([1, 2])
        self.batch = graph.node("Shape", "images", end=1)

    def cut(self, view: View) -> str:
        """One view, uint8 [N, side, side, channels]."""
        picture, width = self._picture(view.scale, view.border, view.mirrored), view.scale + 2 * view.border
        if view.side == width:
            return picture
        left = width - view.side - view.left if view.mirrored else view.left
        return self._slice(picture, [view.top, left], [view.top + view.side, left + view.side], [1, 2])

    def _picture(self, scale: int, border: int, mirrored: bool) -> str:
        """The picture at that scale, uint8 [N, scale + 2 * border, scale + 2 * border, channels]."""
        key = (scale, border, mirrored)
        if key not in self._made:
            if mirrored:
                self._made[key] = self._slice(self._picture(scale, border, False), [-1], [INT64.min], [2], -1)
            elif border:
                widths = self._graph.constant([border] * 4)
                picture = self._picture(scale, 0, False)
                self._made[key] = self._graph.node("Pad", picture, widths, "", self._axes, mode="reflect")
            else:
                self._made[key] = self._resized(scale)
        return self._made[key]

    def _resized(self, scale: int) -> str:
        softened = {"antialias": 1} if self._resize["mode"] == "linear" and self._size >= 2 * scale else {}
        sizes = self._graph.constant([scale, scale])
        return self._graph.node("Resize", "images", "", "", sizes, axes=[1, 2], **self._resize, **softened)

    def _slice(self, picture: str, starts: list[int], ends: list[int], axes: list[int], step: int = 1) -> str:
        numbers = map(self._graph.constant, (starts, ends, axes, [step] * len(axes)))
        return self._graph.node("Slice", picture, *numbers)


def _answers(graph: Assembly, views: Views, member: Member, average: Average) -> tuple[str, str, str]:
    """What is to be summed over the members, the mean embedding [N, D], and the feature map of the first view.

    To be summed: of probabilities [V, N, C], which count by weight, the logarithms, or the weighted mean logits [N, C].
    """
    logits, embeddings, maps = zip(*(_through(graph, views, part) for part in member.parts), strict=True)
    joined = graph.node("Concat", *logits, axis=0)
    if average == "probabilities":
        counted = graph.constant(math.log(member.weight / member.views), np.float32)
        answer = graph.node("Add", graph.node("LogSoftmax", joined, axis=-1), counted)
    else:
        answer = graph.node("Mul", _mean(graph, joined), graph.constant(member.weight, np.float32))
    first = graph.node("Gather", maps[0], graph.constant(0), axis=0)
    return answer, _mean(graph, graph.node("Concat", *embeddings, axis=0)), first


def _through(graph: Assembly, views: Views, part: Part) -> list[str]:
    """The outputs [V, N, ...] for the views of `part`."""
    cut = [views.cut(view) for view in part.views]
    if part.one_by_one:
        axis = graph.constant([0])
        stacked = graph.node("Concat", *(graph.node("Unsqueeze", view, axis) for view in cut), axis=0)
        return graph.network_by_view(part.graph.graph, stacked)
    outputs = graph.network(part.graph.graph, graph.node("Concat", *cut, axis=0))
    return [_by_view(graph, views, output, len(cut), part.shapes[name])
            for name, output in zip(Outputs._fields, outputs, strict=True)]  # fmt: skip


def _by_view(graph: Assembly, views: Views, output: str, count: int, shape: list[int]) -> str:
    """`output` [V * N, ...] as [V, N, ...]."""
    whole = graph.node("Concat", graph.constant([count]), views.batch, graph.constant(shape), axis=0)
    return graph.node("Reshape", output, whole, allowzero=1)


def _mean(graph: Assembly, values: str) -> str:
    """The mean over the first axis."""
    return graph.node("ReduceMean", values, graph.constant([0]), keepdims=0)


def _unit(graph: Assembly, embedding: str, weight: float) -> str:
    """`embedding` [N, D] at the length sqrt(weight); one of zeros stays."""
    length = graph.node("ReduceL2", embedding, graph.constant([1]), keepdims=1)
    safe = graph.node("Max", length, graph.constant(np.finfo(np.float32).tiny, np.float32))
    return graph.node("Mul", graph.node("Div", embedding, safe), graph.constant(math.sqrt(weight), np.float32))
