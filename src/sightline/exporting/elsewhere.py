"""A Bundle's graph as a file for other runtimes: another opset, a batch of one size; the same answers, or no file.

What such a runtime must know besides, the classes and how a picture becomes pixels, is in the file's metadata.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import version_converter

from sightline.bundle import GOLDEN, GRAPH, Bundle, disagreement, read_golden
from sightline.core.artifact import check_vacant, write_bytes
from sightline.core.errors import UserError, first_line, named
from sightline.exporting.assembly import OPSET
from sightline.runtime import AS_WRITTEN


def write_graph(bundle: Bundle, file: Path, *, opset: int | None = None, batch: int | None = None) -> Path:
    """Write the graph of `bundle` to a new `file`, in `opset` and for batches of `batch` pictures where given.

    UserError when the file is there, the graph cannot be said in that opset, or does not answer the golden pictures as
    it did.
    """
    check_vacant(file)
    proto = onnx.load(bundle.path / GRAPH)
    if opset is not None and opset != OPSET:
        try:
            proto = version_converter.convert_version(proto, opset)
        except Exception as error:  # the converter's errors share no class
            raise UserError(
                f"{named(bundle.arch)} cannot be said in opset {opset} ({first_line(error)[:120]}): use another --opset"
            ) from None
    if batch is not None:
        for value in (*proto.graph.input, *proto.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = batch
        del proto.graph.value_info[:]  # shapes of any batch
    proto.metadata_props.add(key="classes", value=json.dumps(list(bundle.classes)))
    proto.metadata_props.add(key="preprocess", value=json.dumps(bundle.preprocess.to_dict()))
    graph = proto.SerializeToString()
    _check(bundle, graph, batch)
    write_bytes(file, graph)
    return file


def _check(bundle: Bundle, graph: bytes, batch: int | None) -> None:
    """UserError unless plain ONNX Runtime gives the golden pictures their logits with `graph`."""
    images, expected = read_golden(bundle.path / GOLDEN)
    count = batch or len(images)
    turns = np.resize(np.arange(len(images)), -(-len(images) // count) * count)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry(*AS_WRITTEN)
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        parts = [
            session.run(["logits"], {"images": images[turns[start : start + count]]})[0]
            for start in range(0, len(turns), count)
        ]
    except Exception as error:
        raise UserError(
            f"the graph does not run so ({first_line(error)[:160]}): use another --opset or batch"
        ) from None
    difference = disagreement(np.concatenate(parts)[: len(images)], expected)
    if difference:
        raise UserError(f"the graph answers otherwise so ({difference}): use another --opset or batch")
