"""A network of one convolution that ends in pooling and one linear layer, made by hand, and the Bundle around it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import safetensors.numpy
from onnx import TensorProto, helper, numpy_helper

from sightline.bundle import Bundle, write_bundle
from sightline.data.preprocess import Preprocess
from sightline.runtime import Session

CLASSES = ("cup", "hat", "shoe")
MAPS = 6
COLOUR = Preprocess(size=16, mean=(0.0,) * 3, std=(1.0,) * 3)


def pooled(path: Path, preprocess: Preprocess = COLOUR, *, seed: int = 0, bias: bool = True) -> Bundle:
    """uint8 [N, S, S, 3] to feature maps [N, 6, S / 2, S / 2], their mean, and three logits of that."""
    random, side = np.random.default_rng(seed), preprocess.size
    weights = {
        "conv.weight": random.normal(size=(MAPS, 3, 2, 2)),
        "fc.weight": 3 * random.normal(size=(len(CLASSES), MAPS)),
        "fc.bias": random.normal(size=len(CLASSES)) * bias,
    }
    weights = {name: value.astype(np.float32) for name, value in weights.items()}
    nodes = [
        helper.make_node("Transpose", ["images"], ["turned"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["turned"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "conv.weight"], ["convolved"], strides=[2, 2]),
        helper.make_node("Relu", ["convolved"], ["feature_map"]),
        helper.make_node("GlobalAveragePool", ["feature_map"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["embedding"]),
        helper.make_node("Gemm", ["embedding", "fc.weight", "fc.bias"], ["logits"], transB=1),
    ]
    shapes = {
        "logits": ["N", len(CLASSES)], "embedding": ["N", MAPS], "feature_map": ["N", MAPS, side // 2, side // 2],
    }  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "pooled",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", side, side, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [numpy_helper.from_array(v, name) for name, v in {**weights, "scale": np.array(1 / 255, np.float32)}.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    data = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    images = random.integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    kept = weights if bias else {name: value for name, value in weights.items() if name != "fc.bias"}
    card = {
        "arch": "pooled", "style": "torchvision", "stem": "small", "classes": list(CLASSES), "embedding_dim": MAPS,
        "preprocess": preprocess.to_dict(), "parameters": 100, "macs": 1000, "metrics": {}, "opset": 17, "versions": {},
    }  # fmt: skip
    write_bundle(
        path, card, graph=data, weights=safetensors.numpy.save(kept), golden_images=images,
        golden_logits=Session(data).run(images).logits,
    )  # fmt: skip
    return Bundle.open(path)
