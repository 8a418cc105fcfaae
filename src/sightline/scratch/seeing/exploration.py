"""All that is to be seen of one picture's way through a network, and the JSON document of it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from sightline.core.errors import UserError, named
from sightline.core.progress import SILENT, Progress
from sightline.scratch.functional import softmax
from sightline.scratch.network import Network
from sightline.scratch.seeing.activations import Activation, Maps, activations, answers_of, maps_of, strongest
from sightline.scratch.seeing.fields import Field
from sightline.scratch.seeing.fields import fields as fields_of
from sightline.scratch.seeing.flow import Flow, flow
from sightline.scratch.seeing.places import peak, windows_of
from sightline.scratch.seeing.products import (
    Arithmetic,
    Product,
    Step,
    arithmetic,
    convolutions,
    later,
    layer_of,
    product,
    reads_picture,
    steps,
)
from sightline.scratch.seeing.removals import Removal, branches, removal, shortcuts
from sightline.scratch.seeing.stand_ins import Edge, without

KERNELS = 32  # of the first convolution that are shown


@dataclass(frozen=True)
class Kernels:
    """The strongest kernels of the first convolution, [M, R, S, C], with their `biases` [M] and the maps they make."""

    node: str
    weights: np.ndarray
    biases: np.ndarray
    maps: Maps


@dataclass(frozen=True)
class Exploration:
    """What `explore` found; gradients are those of the loss against class `target`.

    Of a network without shortcuts `plain_flow` and `without_shortcuts` are None.
    """

    probabilities: np.ndarray
    label: int
    target: int
    kernels: Kernels
    arithmetic: Arithmetic
    steps: list[Step]
    products: list[Product]
    fields: list[Field]
    layers: list[Activation]
    flow: Flow
    plain_flow: Flow | None
    shortcuts: list[Removal]
    branches: list[Removal]
    without_shortcuts: Removal | None

    def document(self) -> dict[str, Any]:
        """As JSON can hold it."""
        document: dict[str, Any] = plain(self)
        return document


def explore(
    network: Network, picture: np.ndarray, target: int | None = None, progress: Progress = SILENT
) -> Exploration:
    """Follow the normalised `picture` [1, H, W, C] through `network`; gradients against `target`, or what it says.

    UserError when no convolution of the network reads the picture, or it answers with numbers that are none.
    """
    names = convolutions(network)
    if not names or not reads_picture(network, names[0]):
        raise UserError("this network does not begin with a convolution: there is nothing of this kind to see")
    answers = answers_of(network, picture)
    broken = next((name for name, answer in answers.items() if not np.isfinite(answer).all()), None)
    if broken:
        raise UserError(f"{named(broken)} answers with numbers that are none (NaN or infinite): train the network anew")
    probabilities = softmax(answers[network.last].astype(np.float64))[0]
    label = int(probabilities.argmax())
    target = label if target is None else target
    first, further = names[0], later(network)
    places = {
        name: peak(answers[name][0], windows_of(network, name, picture, answers)) for name in (first, further) if name
    }
    sums = arithmetic(network, first, picture, answers)
    added, joined = shortcuts(network), branches(network)
    return Exploration(
        probabilities, label, target, _kernels(network, first, places[first][2], answers),
        sums, steps(sums, places[first], answers),
        [product(network, name, place, picture, answers) for name, place in places.items()],
        fields_of(network, picture, answers), activations(network, answers), flow(network, picture, target),
        flow(without(network, added), picture, target) if added else None,
        _alone(network, added, picture, label, progress), _alone(network, joined, picture, label, progress),
        removal(network, added, picture, label) if added else None,
    )  # fmt: skip


def _alone(
    network: Network, edges: list[Edge], picture: np.ndarray, label: int, progress: Progress
) -> list[Removal]:  # fmt: skip
    """Without each of `edges`, one at a time."""
    found: list[Removal] = []
    if edges:
        with progress.task("Removing", len(edges), "parts") as advance:
            for edge in edges:
                found.append(removal(network, [edge], picture, label))
                advance()
    return found


def _kernels(network: Network, node: str, channel: int, answers: Mapping[str, np.ndarray]) -> Kernels:
    """The strongest, and with them that of `channel`."""
    parameters, answer = layer_of(network, node).parameters, answers[node][0]
    chosen = strongest(answer, KERNELS)
    chosen = chosen if channel in chosen else (*chosen[:-1], channel)
    weights = parameters["weight"]
    biases = parameters.get("bias", np.zeros(len(weights), np.float32))
    rows = list(chosen)
    return Kernels(node, weights[rows], biases[rows], maps_of(answer, chosen))


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: whole numbers 0 to 255 as {"shape", "base64"}, other arrays as lists."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray):
        if value.dtype == np.uint8:
            return {"shape": list(value.shape), "base64": base64.b64encode(value.tobytes()).decode()}
        return plain(value.tolist())
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value
