"""A graph of the shape Sightline's have, made by hand in milliseconds, and a Bundle around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sightline.bundle import write_bundle
from sightline.data.preprocess import Preprocess
from sightline.runtime import Session

SIZE, CLASSES, CHANNELS = 8, 3, 4


def tiny_graph(seed: int = 0) -> bytes:
    """uint8 [N, 8, 8, 3] to logits [N, 3], embedding [N, 4], feature_map [N, 4, 8, 8], in one convolution."""
    generator = np.random.default_rng(seed)
    constants = {
        "kernel": generator.normal(size=(CHANNELS, 3, 1, 1)).astype(np.float32) / 64,
        "head": generator.normal(size=(CHANNELS, CLASSES)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Transpose", ["images"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["nchw"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["x", "kernel"], ["feature_map"]),
        helper.make_node("GlobalAveragePool", ["feature_map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "head"], ["logits"]),
    ]
    shapes = {"logits": ["N", CLASSES], "embedding": ["N", CHANNELS], "feature_map": ["N", CHANNELS, SIZE, SIZE]}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def pixels(count: int, seed: int = 0) -> np.ndarray:
    """Random pictures uint8 [count, 8, 8, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


def write_tiny_bundle(out: Path, **card: Any) -> Path:
    """A whole, sound Bundle at `out`; `card` overrides what its card says."""
    graph, images = tiny_graph(), pixels(4)
    card = {
        "arch": "tiny",
        "classes": ["ant", "bee", "<b>cat</b>"],
        "preprocess": Preprocess(SIZE).to_dict(),
        "metrics": {"top1": 0.5},
        **card,
    }
    logits = Session(graph).run(images).logits
    write_bundle(out, card, graph=graph, weights=b"weights" * 40, golden_images=images, golden_logits=logits)
    return out
