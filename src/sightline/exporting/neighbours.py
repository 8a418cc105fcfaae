"""A Bundle that answers with the classes of the nearest training pictures: the k-nearest-neighbour classifier.

Cover and Hart, "Nearest Neighbor Pattern Classification" (1967), in the embedding of a network, by the cosine. One
graph: the network, its embedding times those of the training pictures, and the votes of the nearest.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import safetensors.numpy

from sightline.bundle import GOLDEN, GRAPH, Bundle, read_golden, write_bundle
from sightline.core.machine import versions
from sightline.exporting.assembly import OPSET, Assembly
from sightline.runtime import PICTURE_BYTES, Session

DOUBT = 0.5  # votes that every class has to begin with, so that no probability is 0


def export_neighbours(
    bundle: Bundle, embeddings: np.ndarray, labels: np.ndarray, classes: Sequence[str], k: int, out: Path
) -> Bundle:
    """Write it at `out`: the network of `bundle`, `embeddings` float32 [N, D] of training pictures, `labels` int [N].

    Of the `k` <= N nearest each votes for its class, and of equally many votes a nearer neighbour decides; the logits
    are the logarithm of the votes. UserError when `out` exists, and when the graph would be too large for an ONNX file.
    """
    graph = onnx.load(bundle.path / GRAPH)
    shapes = [[axis.dim_value for axis in output.type.tensor_type.shape.dim[1:]] for output in graph.graph.output]
    assembly = Assembly()
    _, embedding, feature_map = assembly.network(graph.graph, "images")
    known = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    likeness = assembly.node("MatMul", embedding, assembly.constant(known.T, np.float32))  # of a picture: one length
    nearest = assembly.node("TopK", likeness, assembly.constant([k]), axis=1, outputs=2)
    said = assembly.node("Gather", assembly.constant(labels), nearest)
    size = assembly.constant(len(classes))
    hot = assembly.node("OneHot", said, size, assembly.constant([0, 1], np.float32), axis=-1)
    ballots = 1 + 2.0 ** -np.arange(1, k + 1) / k  # a nearer one counts a little more, and never a whole vote
    weighed = assembly.node("Mul", hot, assembly.constant(ballots[None, :, None], np.float32))
    votes = assembly.node("ReduceSum", weighed, assembly.constant([1]), keepdims=0)
    logits = assembly.node("Log", assembly.node("Add", votes, assembly.constant(DOUBT, np.float32)))
    size_of = {entry.key: entry.value for entry in graph.metadata_props if entry.key == PICTURE_BYTES}
    picture = bundle.preprocess.size, bundle.preprocess.size, bundle.preprocess.channels
    made = assembly.model(picture, (logits, embedding, feature_map), ([len(classes)], *shapes[1:]), size_of)
    images, _ = read_golden(bundle.path / GOLDEN)
    card = {
        "arch": f"{k} nearest in {bundle.arch}",
        "classes": list(classes),
        "preprocess": bundle.preprocess.to_dict(),
        "embedding_dim": bundle.card["embedding_dim"],
        "parameters": bundle.card["parameters"],
        "macs": bundle.card["macs"] + known.size,
        "metrics": {},
        "neighbours": {"k": k, "pictures": len(known), "network": bundle.model_hash},
        "opset": OPSET,
        "versions": versions(),
    }
    held = {"embeddings": known.astype(np.float32), "labels": labels.astype(np.int64)}
    write_bundle(
        out, card, graph=made, weights=safetensors.numpy.save(held), golden_images=images,
        golden_logits=Session(made).run(images).logits,
    )  # fmt: skip
    return Bundle.open(out)
