"""A real network small enough for any test: each class has a prototype, the mean of its training pictures.

The graph is written by hand with ONNX, so rooms that never see torch can be tested without it. Its embedding is the
picture itself, [size * size * channels] numbers in [0, 1]; its logits are scaled negative squared distances to the
prototypes, less what they share. On the digits it gets nine of ten right.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from onnx import TensorProto, helper, numpy_helper

from sightline.bundle import Bundle, write_bundle
from sightline.data.dataset import Dataset
from sightline.data.pixels import Pixels
from sightline.data.preprocess import Preprocess
from sightline.experience import Experience
from sightline.run import Run
from sightline.runtime import Session

GREY8 = Preprocess(size=8, channels=1, mean=(0.0,), std=(1.0,))


def prototypes(dataset: Dataset, preprocess: Preprocess = GREY8) -> tuple[np.ndarray, np.ndarray]:
    """Weight [D, C] and bias [C] of the nearest-prototype classifier, D in the order channel, row, column."""
    rows = dataset.rows("train")
    pixels = Pixels(dataset, preprocess).read(rows).transpose(0, 3, 1, 2).reshape(len(rows), -1) / 255
    means = [pixels[dataset.labels(rows) == label].mean(axis=0) for label in range(len(dataset.classes))]
    weight = np.stack(means, axis=1)
    return weight.astype(np.float32), (-0.5 * (weight**2).sum(axis=0)).astype(np.float32)


def graph(preprocess: Preprocess, weight: np.ndarray, bias: np.ndarray) -> bytes:
    """uint8 pictures in; logits (embedding @ weight + bias), embedding and feature map out."""
    side, channels = preprocess.size, preprocess.channels
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["feature_map"], perm=[0, 3, 1, 2]),
        helper.make_node("Flatten", ["feature_map"], ["embedding"]),
        helper.make_node("Gemm", ["embedding", "weight", "bias"], ["logits"]),
    ]
    fixed = {"scale": np.array(1 / 255, np.float32), "weight": weight, "bias": bias}
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", side, side, channels])
    shapes = {
        "logits": ["N", len(bias)],
        "embedding": ["N", len(weight)],
        "feature_map": ["N", channels, side, side],
    }
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    constants = [numpy_helper.from_array(value, name) for name, value in fixed.items()]
    made = helper.make_graph(nodes, "tiny", [images], outputs, constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def make_bundle(
    path: Path, dataset: Dataset, *, noise: float = 0.0, seed: int = 0, scale: float = 10.0,
    experience: Experience | None = None, **card: Any,
) -> Bundle:  # fmt: skip
    """A Bundle of the classifier for `dataset`, its weights disturbed by `noise`; `card` entries replace its own."""
    weight, bias = prototypes(dataset)
    weight = (weight + noise * np.random.default_rng(seed).normal(size=weight.shape)).astype(np.float32)
    return write(
        path, scale * weight, scale * bias, experience=experience, **{"classes": list(dataset.classes), **card}
    )


def write(
    path: Path, weight: np.ndarray, bias: np.ndarray, preprocess: Preprocess = GREY8,
    experience: Experience | None = None, **card: Any,
) -> Bundle:  # fmt: skip
    """A Bundle with these weights [D, C] and bias [C], whatever the classes."""
    data = graph(preprocess, weight.astype(np.float32), bias.astype(np.float32))
    golden = np.arange(2 * preprocess.size**2 * preprocess.channels, dtype=np.int64) % 251
    images = golden.astype(np.uint8).reshape(2, preprocess.size, preprocess.size, preprocess.channels)
    whole: dict[str, Any] = {
        "arch": "prototype",
        "style": "torchvision",
        "stem": "small",
        "classes": [str(i) for i in range(len(bias))],
        "preprocess": preprocess.to_dict(),
        "embedding_dim": len(weight),
        "parameters": weight.size + bias.size,
        "macs": weight.size,
        "metrics": {},
        "opset": 17,
        "versions": {},
        **card,
    }
    logits = Session(data).run(images).logits
    weights = safetensors.numpy.save({"weight": weight, "bias": bias})
    write_bundle(
        path, whole, graph=data, weights=weights, golden_images=images, golden_logits=logits, experience=experience
    )
    return Bundle.open(path)


def make_run(
    path: Path, dataset: Dataset, *, arch: str = "prototype", seed: int = 0, noise: float = 0.0, **recipe: Any
) -> Run:
    """A finished Run around such a Bundle."""
    document = {
        "status": "done",
        "arguments": {
            "arch": arch,
            "size": 8,
            "stem": "small",
            "data": str(dataset.path),
            "device": "cpu",
            "recipe": {"epochs": 1, "lr": 0.1, "seed": seed, **recipe},
        },
        "seed": seed,
        "versions": {},
        "machine": {},
        "data": {"name": dataset.name, "path": str(dataset.path), "fingerprint": dataset.fingerprint},
        "results": {"train_seconds": 10.0 + seed, "train_images_per_s": 400.0, "peak_memory_bytes": 10**9},
    }
    run = Run.create(path, document)
    run.write_history([{"epoch": 1, "train_loss": 1.0, "validation_top1": 0.9}])
    make_bundle(path / "bundle", dataset, noise=noise, seed=seed, arch=arch)
    return run
