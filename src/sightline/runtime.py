"""The one way a graph is run: ONNX Runtime on the CPU, with as many threads as the processor quota grants.

Everything after training goes through `Session`, so what is measured is what is served. A graph takes `images` uint8
[N, H, W, C] and gives `logits` [N, classes], `embedding` [N, D] and `feature_map` [N, K, h, w], all float32. Its
metadata may say how many bytes a picture's activations take; a batch is then run in slices that fit the cache, of one
picture at least.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime

from sightline.core.errors import UserError, first_line, named
from sightline.core.machine import cpu_quota

PICTURE_BYTES = "bytes_a_picture"  # the metadata's key
AS_WRITTEN = "optimization.disable_specified_optimizers", "WeightBiasQuantization"  # a setting of ONNX Runtime
CACHE = 24 * 2**20  # bytes that the last-level cache of a common processor holds


class Outputs(NamedTuple):
    """What a graph answers, float32; an output that was not asked for is an empty array."""

    logits: np.ndarray
    embedding: np.ndarray
    feature_map: np.ndarray


class Session:
    """A loaded graph; `run` may be called from several threads."""

    def __init__(self, graph: Path | bytes, threads: int | None = None) -> None:
        """Load `graph` (a file or its bytes) on `threads` threads (the quota when None); UserError when damaged."""
        options = _options(threads or cpu_quota())
        source = graph if isinstance(graph, bytes) else str(graph)
        where = "the graph" if isinstance(graph, bytes) else named(graph)
        if isinstance(graph, Path) and not graph.is_file():
            raise UserError(f"no graph at {where}: the file is missing; make it again")
        try:
            self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors share no class
            raise UserError(
                f"damaged graph: {where} cannot be loaded ({first_line(error)[:200]}); make it again"
            ) from None
        names = tuple(output.name for output in self._session.get_outputs())
        inputs = self._session.get_inputs()
        if names != Outputs._fields or [i.name for i in inputs] != ["images"] or len(inputs[0].shape) != 4:
            raise UserError(f"{where} is no Sightline graph: it must take images and give {', '.join(Outputs._fields)}")
        self.input_shape: tuple[int, int, int] = tuple(inputs[0].shape[1:])
        self.threads: int = options.intra_op_num_threads
        said = self._session.get_modelmeta().custom_metadata_map.get(PICTURE_BYTES)
        if said is not None and not re.fullmatch("[1-9][0-9]{0,17}", said):
            raise UserError(f"damaged graph: {where} says {PICTURE_BYTES} is {named(said)}, not a count; make it again")
        self.at_once: int | None = max(1, CACHE // int(said)) if said else None

    def run(self, images: np.ndarray, *, only: Sequence[str] = Outputs._fields) -> Outputs:
        """The outputs named in `only` for uint8 `images` [N, H, W, C]; UserError for another kind or shape."""
        height, width, channels = self.input_shape
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != self.input_shape:
            raise UserError(
                f"this network takes uint8 pictures [N, {height}, {width}, {channels}], "
                f"not {images.dtype} {list(images.shape)}"
            )
        images = np.ascontiguousarray(images)
        slices = np.array_split(images, max(1, -(-len(images) // (self.at_once or len(images) or 1))))
        parts = [self._session.run(list(only), {"images": part}) for part in slices]
        joined = (of[0] if len(of) == 1 else np.concatenate(of) for of in zip(*parts, strict=True))
        answers = dict(zip(only, joined, strict=True))
        return Outputs(*(answers.get(name, np.empty(0, np.float32)) for name in Outputs._fields))


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Threads that wait in a loop save small networks the time of waking them (resnet20, 2 processors: 0.53 ms without,
    # 0.29 ms with 200 us of it); ONNX Runtime's own 47 ms after every answer are taken from decoding and from training.
    options.add_session_config_entry("session.intra_op.spin_duration_us", "200")
    # Planned for one batch size, kept for every size seen: 190 MB more at ResNet-50, batch 32, and no faster.
    options.enable_mem_pattern = False
    # Between layers in integers it would round the weights of one in float32 too, a whole layer to one scale.
    options.add_session_config_entry(*AS_WRITTEN)
    options.log_severity_level = 4
    return options
