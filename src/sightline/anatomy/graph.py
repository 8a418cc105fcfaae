"""What follows from who reads whom: receptive fields, the depth of a network, and the memory its pass needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from sightline.anatomy.layer import WEIGHTED, Layer
from sightline.anatomy.record import PICTURE

WHOLE = ("Linear", "Flatten")  # they mix all places of what they read


def with_receptive_fields(layers: Sequence[Layer]) -> list[Layer]:
    """The layers with their receptive fields: r + (kernel - 1) * dilation * step, step the product of strides before.

    Where branches meet the widest counts. The whole picture (None) is seen after a global pooling, but not behind a
    gate such as squeeze-and-excitation: it weighs channels, and the field of what it weighs counts. Fields are not cut
    at the picture's border.
    """
    seen: dict[str, tuple[int, int] | None] = {PICTURE: (1, 1)}
    done = []
    for layer in layers:
        known = [field for name in layer.inputs if (field := seen[name]) is not None]
        seen[layer.name] = field = _field(layer, known)
        done.append(replace(layer, receptive_field=field[0] if field else None))
    return done


def _field(layer: Layer, read: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """(pixels seen, pixels between neighbours) after `layer`; None for the whole picture."""
    whole = layer.kind in WHOLE or (layer.kind == "AvgPool" and prod(layer.output[1:]) == 1)
    if not read or whole:
        return None
    field, step = max(read)
    if layer.window is None:
        return field, step
    reach = max((k - 1) * d for k, d in zip(layer.window.kernel, layer.window.dilation, strict=True))
    return field + reach * step, step * max(layer.window.stride)


def depth(layers: Sequence[Layer]) -> int:
    """How many convolutions and linear layers lie one behind another on the longest way to the last of `layers`.

    This is how papers count: the 22 of GoogLeNet, the 50 of ResNet-50, without the projections of shortcuts and the
    gates of squeeze-and-excitation beside the way. Receptive fields must be known.
    """
    behind: dict[str, int] = {}
    whole = {layer.name for layer in layers if layer.receptive_field is None}
    for layer in layers:
        ways = [name for name in layer.inputs if name not in whole] or layer.inputs
        behind[layer.name] = max((behind.get(name, 0) for name in ways), default=0) + (layer.kind in WEIGHTED)
    return behind[layers[-1].name]


def peak_activations(layers: Sequence[Layer], picture: int) -> int:
    """Elements held at the worst moment of a pass over a picture of so many elements.

    Assumed: layers run in this order; a tensor is freed after its last reader; what works element by element (batch
    norm, activation, dropout, sum, gate) writes over an operand that nobody reads later. Scratch memory of the kernels
    is not counted.
    """
    last = {name: step for step, layer in enumerate(layers) for name in layer.inputs}
    held = {PICTURE: picture}  # buffers by the name of what is in them
    peak = picture
    for step, layer in enumerate(layers):
        dying = [name for name in layer.inputs if last[name] == step]
        over = next((n for n in dying if layer.in_place and held.get(n) == layer.activations), None)
        if over is None:
            held[layer.name] = layer.activations
            peak = max(peak, sum(held.values()))
        else:
            held[layer.name] = held.pop(over)
        for name in {*dying, *([layer.name] if layer.name not in last else [])}:
            held.pop(name, None)
    return peak
