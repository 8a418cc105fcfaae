"""A Bundle that is no network: its embedding of a picture is the picture's own pixels, a baseline for search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import safetensors.numpy
from onnx import TensorProto

from sightline.bundle import Bundle, write_bundle
from sightline.core.machine import versions
from sightline.data.preprocess import Preprocess
from sightline.exporting.assembly import OPSET, Assembly
from sightline.exporting.pretrained import golden_pictures
from sightline.runtime import Session


def export_pixels(preprocess: Preprocess, out: Path) -> Bundle:
    """Write it at `out`, for pictures as `preprocess` makes them; UserError when `out` exists.

    The embedding [channels * S * S] and the feature map [channels, S, S] are the pixels in [0, 1]; the one logit is
    their mean.
    """
    side, channels = preprocess.size, preprocess.channels
    picture = (side, side, channels)
    assembly = Assembly()
    numbers = assembly.node("Cast", "images", to=TensorProto.FLOAT)
    scaled = assembly.node("Mul", numbers, assembly.constant(1 / 255, np.float32))
    planes = assembly.node("Transpose", scaled, perm=[0, 3, 1, 2])
    flat = assembly.node("Flatten", planes)
    mean = assembly.node("ReduceMean", flat, assembly.constant([1]), keepdims=1)
    count = channels * side * side
    graph = assembly.model(picture, (mean, flat, planes), ((1,), (count,), (channels, side, side)), {})
    images = golden_pictures(preprocess)
    card = {
        "arch": "pixels",
        "classes": ["brightness"],
        "preprocess": preprocess.to_dict(),
        "embedding_dim": count,
        "parameters": 0,
        "macs": 0,
        "metrics": {},
        "opset": OPSET,
        "versions": versions(),
    }
    write_bundle(
        out, card, graph=graph, weights=safetensors.numpy.save({}), golden_images=images,
        golden_logits=Session(graph).run(images).logits,
    )  # fmt: skip
    return Bundle.open(out)
