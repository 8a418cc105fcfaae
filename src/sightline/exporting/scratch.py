"""A network in NumPy as a Bundle like any other: its graph written as ONNX, node by node.

The names of its weights are PyTorch's, and its golden answers are NumPy's own: what opens the Bundle compares ONNX
Runtime's with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from onnx import TensorProto

from sightline.bundle import GOLDEN_IMAGES, Bundle, disagreement, write_bundle
from sightline.core.errors import UserError
from sightline.core.machine import versions
from sightline.data.preprocess import Preprocess
from sightline.experience import Experience
from sightline.exporting.assembly import OPSET, Assembly
from sightline.runtime import Session
from sightline.scratch.layers import (
    Add,
    AveragePool,
    BatchNorm,
    Concatenate,
    Convolution,
    Dropout,
    Flatten,
    GlobalPool,
    Layer,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Pad,
    Relu,
    SamePad,
)
from sightline.scratch.network import PICTURES, Network
from sightline.scratch.pictures import normalised


def export_scratch(
    network: Network, *, arch: str, stem: str, style: str, classes: Sequence[str], preprocess: Preprocess,
    golden_images: np.ndarray, metrics: dict[str, Any], data: dict[str, Any], out: Path, replace: bool = False,
    experience: Experience | None = None,
) -> Bundle:  # fmt: skip
    """Write `network`, of full name `arch`, as a Bundle at `out` and open it.

    `golden_images` uint8 [n, S, S, channels], n >= 1: the first 8 travel along with their logits. UserError when `out`
    exists and `replace` is false, and when the network's own answers are not finite. RuntimeError (our mistake) when
    the graph answers otherwise than the network.
    """
    images = golden_images[:GOLDEN_IMAGES]
    answers: dict[str, np.ndarray] = {}
    mean, deviation = (np.array(values, np.float32) for values in (preprocess.mean, preprocess.std))
    logits = network.forward(normalised(images, mean, deviation), watch=answers.__setitem__)
    if not np.isfinite(logits).all():
        raise UserError(f"{arch} gives answers that are not finite: train with a lower --lr")
    shapes = {name: answer.shape[1:] for name, answer in answers.items()}
    embedding, features = embedding_of(network), features_of(network, shapes)
    graph = to_onnx(network, preprocess, shapes, (network.last, embedding, features))
    difference = disagreement(Session(graph).run(images).logits, logits)
    if difference:
        raise RuntimeError(f"the graph differs from NumPy: {difference}")
    card = {
        "arch": arch,
        "style": style,
        "stem": stem,
        "classes": list(classes),
        "preprocess": preprocess.to_dict(),
        "embedding_dim": shapes[embedding][0],
        "parameters": sum(parameter.size for parameter in network.parameters.values()),
        "macs": multiply_adds(network, shapes),
        "metrics": metrics,
        "data": data,
        "opset": OPSET,
        "versions": versions(),
    }
    write_bundle(
        out, card, graph=graph, weights=safetensors.numpy.save(network.state()), golden_images=images,
        golden_logits=logits, experience=experience, replace=replace,
    )  # fmt: skip
    return Bundle.open(out)


Shapes = dict[str, tuple[int, ...]]


def embedding_of(network: Network) -> str:
    """The node whose answer the last layer weighs."""
    name = network.nodes[network.last].inputs[0]
    while isinstance(network.nodes[name].layer, Dropout):
        name = network.nodes[name].inputs[0]
    return name


def features_of(network: Network, shapes: Shapes) -> str:
    """The last node on the way to the embedding that still answers for every place of the picture."""
    name = embedding_of(network)
    while len(shapes[name]) < 3:
        name = network.nodes[name].inputs[0]
    return name


def multiply_adds(network: Network, shapes: Shapes) -> int:
    """Those of convolutions and linear layers for one picture, as a Bundle's card counts them."""
    weighted = ((node.name, node.layer) for node in network.nodes.values())
    return sum(
        layer.parameters["weight"].size * int(np.prod(shapes[name][:-1]))
        for name, layer in weighted
        if isinstance(layer, Convolution | Linear)
    )


def to_onnx(network: Network, preprocess: Preprocess, shapes: Shapes, outputs: tuple[str, str, str]) -> bytes:
    """The ONNX file: uint8 pictures as they are stored in, normalised within; the answers of the nodes `outputs`."""
    assembly = Assembly()
    mean, std = (np.array(values)[:, None, None] for values in (preprocess.mean, preprocess.std))
    numbers = assembly.node("Cast", "images", to=TensorProto.FLOAT)
    planes = assembly.node("Transpose", numbers, perm=[0, 3, 1, 2])
    sized = assembly.node("Mul", planes, assembly.constant(1 / (255 * std), np.float32))
    values = {PICTURES: assembly.node("Add", sized, assembly.constant(-mean / std, np.float32))}
    side, channels = preprocess.size, preprocess.channels
    shapes = {PICTURES: (side, side, channels), **shapes}
    for node in network.nodes.values():
        heard = [values[name] for name in node.inputs]
        values[node.name] = _written(node.layer, assembly, heard, shapes[node.inputs[0]])
    own = [shapes[name] if len(shapes[name]) == 1 else (shapes[name][2], *shapes[name][:2]) for name in outputs]
    return assembly.model((side, side, channels), [values[name] for name in outputs], own, {})


@singledispatch
def _written(layer: Layer, assembly: Assembly, heard: list[str], shape: tuple[int, ...]) -> str:
    """The value that `layer` makes of those it hears, the first of `shape` [H, W, C] or [D]."""
    raise NotImplementedError(f"{type(layer).__name__} has no form in ONNX")


@_written.register
def _(layer: Convolution, assembly: Assembly, heard: list[str], shape: tuple[int, ...]) -> str:
    weights = [assembly.constant(layer.parameters["weight"].transpose(0, 3, 1, 2), np.float32)]
    if "bias" in layer.parameters:
        weights.append(assembly.constant(layer.parameters["bias"], np.float32))
    how = layer.geometry
    return assembly.node(
        "Conv", *heard, *weights, strides=how.stride, pads=how.padding * 2, dilations=how.dilation, group=how.groups
    )


@_written.register
def _(layer: Linear, assembly: Assembly, heard: list[str], shape: tuple[int, ...]) -> str:
    weights = (assembly.constant(layer.parameters[name], np.float32) for name in ("weight", "bias"))
    return assembly.node("Gemm", *heard, *weights, transB=1)


@_written.register
def _(layer: BatchNorm, assembly: Assembly, heard: list[str], shape: tuple[int, ...]) -> str:
    held = layer.parameters | layer.kept
    names = ("weight", "bias", "running_mean", "running_var")
    constants = [assembly.constant(held[name], np.float32) for name in names]
    return assembly.node("BatchNormalization", *heard, *constants, epsilon=layer.epsilon)


@_written.register
def _(layer: Relu, assembly: Assembly, heard: list[str], shape: tuple[int, ...]) -> str:
    if np.isfinite(layer.top):
        return assembly.node("Clip", *heard, *(assembly.constant(end, np.float32) for end in (0, layer.top)))
    return assembly.node("LeakyRelu", *heard, alpha=layer.slope) if layer.slope else assembly.node("Relu", *heard)


def _window(layer: MaxPool | AveragePool) -> dict[str, Any]:
    how = layer.geometry
    return {"kernel_shape": layer.kernel, "strides": how.stride, "pads": how.padding * 2}


@_written.register
def _(layer: MaxPool, assembly: Assembly, heard: list[str], shape: tuple[int, ...]) -> str:
    return assembly.node("MaxPool", *heard, **_window(layer), ceil_mode=int(layer.ceil))


@_written.register
def _(layer: AveragePool, assembly: Assembly, heard: list[str], shape: tuple[int, ...]) -> str:
    return assembly.node("AveragePool", *heard, **_window(layer), count_include_pad=1)


@_written.register
def _(layer: GlobalPool, assembly: Assembly, heard: list[str], shape: tuple[int, ...]) -> str:
    return assembly.node("Flatten", assembly.node("GlobalAveragePool", *heard))


@_written.register
def _(layer: Flatten, assembly: Assembly, heard: list[str], shape: tuple[int, ...]) -> str:
    return assembly.node("Flatten", *heard)


@_written.register
def _(layer: Dropout, assembly: Assembly, heard: list[str], shape: tuple[int, ...]) -> str:
    return heard[0]


@_written.register
def _(layer: LocalResponseNorm, assembly: Assembly, heard: list[str], shape: tuple[int, ...]) -> str:
    size, alpha, beta, k = layer.how
    return assembly.node("LRN", *heard, size=size, alpha=alpha, beta=beta, bias=k)


@_written.register
def _(layer: Add, assembly: Assembly, heard: list[str], shape: tuple[int, ...]) -> str:
    return assembly.node("Sum", *heard) if len(heard) > 2 else assembly.node("Add", *heard)


@_written.register
def _(layer: Concatenate, assembly: Assembly, heard: list[str], shape: tuple[int, ...]) -> str:
    return assembly.node("Concat", *heard, axis=1)


@_written.register
def _(layer: Pad, assembly: Assembly, heard: list[str], shape: tuple[int, ...]) -> str:
    ends, step = ([number] * 2 for number in (np.iinfo(np.int64).max, layer.stride))
    kept = assembly.node("Slice", *heard, *(assembly.constant(one) for one in ([0, 0], ends, [2, 3], step)))
    after = layer.channels - layer.channels_in - layer.before
    return assembly.node("Pad", kept, assembly.constant([0, layer.before, 0, 0, 0, after, 0, 0]))


@_written.register
def _(layer: SamePad, assembly: Assembly, heard: list[str], shape: tuple[int, ...]) -> str:
    (top, bottom), (left, right) = (layer.sides(length) for length in shape[:2])
    return assembly.node("Pad", *heard, assembly.constant([0, 0, top, left, 0, 0, bottom, right]))
