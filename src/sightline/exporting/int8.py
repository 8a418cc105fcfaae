"""A Bundle's graph in 8-bit integers: smaller, and faster where a processor multiplies them faster.

ONNX Runtime's static quantiser, a scale for every channel of the weights, the ranges of what flows between the layers
seen on calibration pictures. The first and the last layer stay in float32, as is usual: they are small, what the first
rounds nothing after it mends, and heat maps stay exact. Weights keep 7 bits where a processor without integer dot
products would overflow (two products of 8 bits are added in 16), depthwise ones, which are not added so, 8. Where the
answers change too often, the layers that hurt most alone go back to float.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from sightline.bundle import EXPERIENCE, GOLDEN, GRAPH, WEIGHTS, Bundle, read_golden, write_bundle
from sightline.core.errors import UserError, named
from sightline.core.progress import SILENT, Progress
from sightline.core.threads import in_threads
from sightline.core.wording import percent
from sightline.data.dataset import Dataset
from sightline.data.layout import SPLITS
from sightline.data.pictures import PictureError
from sightline.runtime import Outputs, Session

AGREEMENT = 0.99  # of the first classes, below which a graph is refused
AIM = 0.995  # of them on the calibration pictures, which are fewer than all there are
KINDS = ("Conv", "Add", "Clip", "Relu", "Concat", "MaxPool")
BATCH = 16
ALONE = 32  # pictures on which a layer's own harm is measured
TURNS = 5
CALIBRATION, TEST = 512, 1000  # pictures, at most


@dataclass(frozen=True)
class Parity:
    """The integer graph against the one in float32 on `pictures`: the share of equal first classes, the mean cosine of
    the embeddings, bytes of the graphs, pictures a second of both by turns; `kept` layers are in float32.
    """

    pictures: int
    agreement: float
    cosine: float
    size_bytes: int
    float_size_bytes: int
    images_per_s: float
    float_images_per_s: float
    kept: tuple[str, ...]


def quantise(
    bundle: Bundle, calibration: np.ndarray, test: np.ndarray, out: Path, *, force: bool = False,
    progress: Progress = SILENT,
) -> tuple[Bundle, Parity]:  # fmt: skip
    """A Bundle of `bundle`'s network in integers at `out`, and its Parity on `test`; both also in its card.

    `calibration` and `test` are preprocessed pictures uint8 [n, S, S, C]. UserError when fewer than 99 % of the test
    pictures keep their first class, unless `force`.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        attempt = _Attempt(bundle, calibration, Path(folder))
        graph, layers = attempt.best(progress)
        kept = attempt.called(layers)
    session = Session(graph)
    parity = _parity(bundle, graph, session, test, kept)
    if parity.agreement < AGREEMENT and not force:
        raise UserError(
            f"in 8-bit integers {named(bundle.arch)} keeps the first class of {percent(parity.agreement)} of "
            f"{parity.pictures} pictures, less than {percent(AGREEMENT)}: keep to float32, or give --force"
        )
    images, _ = read_golden(bundle.path / GOLDEN)
    card = {key: value for key, value in bundle.card.items() if key not in ("format", "files")}
    card["metrics"] = {}  # what was measured on validation was the other's
    write_bundle(
        out, {**card, "int8": {**to_dict(parity), "of": bundle.model_hash}}, graph=graph,
        weights=(bundle.path / WEIGHTS).read_bytes(), golden_images=images, golden_logits=session.run(images).logits,
        experience=bundle.experience if EXPERIENCE in bundle.card["files"] else None, replace=True,
    )  # fmt: skip
    return Bundle.open(out), parity


def pictures_of(bundle: Bundle, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Pictures to calibrate on and to measure on, uint8 [n, S, S, C]: of the validation and the test split.

    Where one of them is empty, every other picture of the whole serves for the one and for the other. UserError when
    there are not two pictures that can be read.
    """
    rows = [dataset.rows("validation"), dataset.rows("test")]
    if not all(len(of) for of in rows):
        whole = np.concatenate([dataset.rows(split) for split in SPLITS])
        rows = [whole[::2], whole[1::2]]
    calibration, test = (
        _read(bundle, dataset, of[np.linspace(0, len(of) - 1, min(most, len(of))).astype(int)])
        for of, most in zip(rows, (CALIBRATION, TEST), strict=True)
    )
    if not len(calibration) or not len(test):
        raise UserError(f"{named(dataset.name)} has too few pictures to calibrate on and to measure on: two at least")
    return calibration, test


def _read(bundle: Bundle, dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """The pixels of those rows that can be read."""

    def pixels(row: int) -> np.ndarray | None:
        try:
            return bundle.pixels(dataset.name_of(row))
        except PictureError:
            return None

    found = [one for one in in_threads(pixels, rows) if one is not None]
    return np.stack(found) if found else np.empty((0, *bundle.session.input_shape), np.uint8)


class _Reader(CalibrationDataReader):
    """`images` by the batch, as the quantiser asks for them."""

    def __init__(self, images: np.ndarray) -> None:
        self._batches = iter(images[start : start + BATCH] for start in range(0, len(images), BATCH))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next batch by the input's name, None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch}


class _Attempt:
    """Graphs of one network, with one layer or another in float32."""

    def __init__(self, bundle: Bundle, images: np.ndarray, folder: Path) -> None:
        self._images, self._folder = images, folder
        self._expected = _answers(bundle.session, images)
        self._model = onnx.load(bundle.path / GRAPH)
        nodes = self._model.graph.node
        makers = {output: node for node in nodes for output in node.output}
        known = _ancestors("embedding", makers)  # heads are none of them
        convolutions = [node for node in nodes if node.op_type == "Conv" and node.name in known]
        behind: set[str] = set()  # another convolution
        for node in nodes:
            before = [makers[name] for name in node.input if name in makers]
            if any(one.op_type == "Conv" or one.name in behind for one in before):
                behind.add(node.name)
        first = [node for node in convolutions if node.name not in behind]
        self._layers = {node.name: node for node in convolutions if node.name in behind}
        if not self._layers:
            raise UserError(f"{named(bundle.arch)} has too few convolutions to write in 8-bit integers")
        followers = {node.input[0]: node for node in nodes if node.op_type in ("Clip", "Relu")}
        self._with = {
            node.name: [node.name, *([followers[node.output[0]].name] if node.output[0] in followers else [])]
            for node in convolutions
        }
        ends = makers["embedding"]  # where it joins those of several networks
        while ends.op_type == "Identity":
            ends = makers[ends.input[0]]
        around = [node.name for node in nodes if node.name not in known or node.name not in behind]
        self._always = [*around, ends.name, *(name for node in first for name in self._with[node.name])]
        wide = [node.input[1] for node in self._layers.values() if _groups(node) > 1]
        self._options = {"TensorQuantOverrides": {name: [{"axis": 0, "reduce_range": False}] for name in wide}}
        self._shifts: dict[str, tuple[str, np.ndarray]] = {}
        self._shifts = self._lost()

    def best(self, progress: Progress) -> tuple[bytes, tuple[str, ...]]:
        """The graph with the fewest layers in float32 that answers alike, or as much alike as can be; and those."""
        graph = self._graph(self._layers)
        best: tuple[float, bytes, tuple[str, ...]] = (self._agreement(graph), graph, ())
        if best[0] >= AIM:
            return graph, ()
        with progress.task("Finding layers that hurt", len(self._layers), "layers") as advance:
            harm = {}
            for name in self._layers:
                harm[name] = self._harm(self._graph([name], alone=True))
                advance()
        worst = sorted(harm, key=lambda name: -harm[name])
        count = 1
        while best[0] < AIM and count <= len(worst) // 2:
            graph = self._graph(worst[count:])
            share = self._agreement(graph)
            if share > best[0]:
                best = (share, graph, tuple(worst[:count]))
            count *= 2
        return best[1], best[2]

    def called(self, layers: Collection[str]) -> tuple[str, ...]:
        """The layers by their names in the network."""
        weights = (self._layers[layer].input[1] for layer in layers)
        return tuple(name.removeprefix("network.").removesuffix(".weight") for name in weights)

    def _graph(self, layers: Collection[str], *, alone: bool = False) -> bytes:
        """The graph with these `layers` in integers, and all else that can be, unless they are to be so `alone`."""
        made = self._folder / "int8.onnx"
        others = [name for layer in self._layers if layer not in layers for name in self._with[layer]]
        quantize_static(
            self._shifted(layers), made, _Reader(self._images), QuantFormat.QDQ, list(KINDS), per_channel=True,
            reduce_range=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            nodes_to_quantize=[name for layer in layers for name in self._with[layer]] if alone else None,
            nodes_to_exclude=[*self._always, *others], extra_options=self._options,
            calibration_cache_path=self._folder / "ranges",
        )  # fmt: skip
        return made.read_bytes()

    def _lost(self) -> dict[str, tuple[str, np.ndarray]]:
        """Of each layer, its bias and what rounding takes from a channel on average (Nagel et al. 2019, section 4.2).

        What a channel of weights loses, times the mean of what enters it.
        """
        rounded = _constants(onnx.load_from_string(self._graph(self._layers)))
        exact = _constants(self._model)
        means = _mean_inputs(self._model, self._layers, self._images)
        found = {}
        for name, node in self._layers.items():
            weight, bias = node.input[1], node.input[2] if len(node.input) > 2 else ""
            if bias not in exact or f"{weight}_quantized" not in rounded:
                continue
            weights = exact[weight]
            scale = rounded[f"{weight}_scale"].reshape(-1, *[1] * (weights.ndim - 1))
            lost = weights - rounded[f"{weight}_quantized"] * scale
            groups = _groups(node)
            taps = lost.sum(tuple(range(2, lost.ndim))).reshape(groups, -1, lost.shape[1])
            found[name] = bias, (taps * means[name].reshape(groups, 1, -1)).sum(2).ravel()
        return found

    def _shifted(self, layers: Collection[str]) -> onnx.ModelProto:
        """The network with biases that make up for the rounding of these `layers`."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        for bias, shift in (self._shifts[layer] for layer in layers if layer in self._shifts):
            value = numpy_helper.to_array(tensors[bias]) + shift
            tensors[bias].CopyFrom(numpy_helper.from_array(value.astype(np.float32), bias))
        return model

    def _agreement(self, graph: bytes) -> float:
        return _agreement(_answers(Session(graph), self._images), self._expected)

    def _harm(self, graph: bytes) -> float:
        """How far the embeddings move, relative to their length, squared."""
        expected = self._expected.embedding[:ALONE]
        moved = _answers(Session(graph), self._images[:ALONE]).embedding - expected
        return float(((moved**2).sum(1) / np.maximum((expected**2).sum(1), 1e-12)).mean())


def _ancestors(output: str, makers: Mapping[str, onnx.NodeProto]) -> set[str]:
    """The names of the nodes that have a part in it."""
    found, waiting = set(), [output]
    while waiting:
        node = makers.get(waiting.pop())
        if node and node.name not in found:
            found.add(node.name)
            waiting += node.input
    return found


def _groups(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)


def _constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def _mean_inputs(
    model: onnx.ModelProto, layers: Mapping[str, onnx.NodeProto], images: np.ndarray
) -> dict[str, np.ndarray]:
    """The mean of every channel that enters each of the `layers`, over `images` and places, by the layer's name."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    graph = watched.graph
    graph.initializer.append(numpy_helper.from_array(np.array([0, 2, 3], np.int64), "watched_axes"))
    names = [f"watched_{layer}" for layer in layers]
    for name, node in zip(names, layers.values(), strict=True):
        graph.node.append(helper.make_node("ReduceMean", [node.input[0], "watched_axes"], [name], keepdims=0))
        graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    parts = [session.run(names, batch) for batch in iter(_Reader(images).get_next, None)]
    return {layer: np.mean([part[place] for part in parts], 0) for place, layer in enumerate(layers)}


def _answers(session: Session, images: np.ndarray) -> Outputs:
    """Logits and embeddings of all `images`, by the batch."""
    parts = [
        session.run(images[start : start + BATCH], only=("logits", "embedding"))
        for start in range(0, len(images), BATCH)
    ]
    return Outputs(*(np.concatenate(of) for of in zip(*parts, strict=True)))


def _agreement(found: Outputs, expected: Outputs) -> float:
    return float((found.logits.argmax(1) == expected.logits.argmax(1)).mean())


def _parity(bundle: Bundle, graph: bytes, session: Session, test: np.ndarray, kept: tuple[str, ...]) -> Parity:
    found, expected = _answers(session, test), _answers(bundle.session, test)
    lengths = np.linalg.norm(found.embedding, axis=1) * np.linalg.norm(expected.embedding, axis=1)
    cosines = (found.embedding * expected.embedding).sum(1) / np.maximum(lengths, 1e-12)
    seconds: dict[str, list[float]] = {"int8": [], "float32": []}
    for _ in range(TURNS):
        for name, one in (("int8", session), ("float32", bundle.session)):
            began = time.perf_counter()
            one.run(test[:BATCH])
            seconds[name].append(time.perf_counter() - began)
    count = len(test[:BATCH])
    return Parity(
        pictures=len(test),
        agreement=_agreement(found, expected),
        cosine=float(cosines.mean()),
        size_bytes=len(graph),
        float_size_bytes=(bundle.path / GRAPH).stat().st_size,
        images_per_s=count / float(np.median(seconds["int8"])),
        float_images_per_s=count / float(np.median(seconds["float32"])),
        kept=kept,
    )


def to_dict(parity: Parity) -> dict[str, Any]:
    """As JSON can hold it."""
    return {**asdict(parity), "kept": list(parity.kept)}


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser advises steps that the exported graph has behind it."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
