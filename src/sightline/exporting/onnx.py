"""From a trained PyTorch network to a verified Bundle: graph, weights, golden pictures, and the proof of parity.

The graph takes uint8 pictures as they are stored and normalises inside, (x / 255 - mean) / std as one multiply-add a
channel. Batch norm is folded into the convolutions (the exporter would do it too, in half as much time again), and
option A shortcuts become convolutions (resnet20 runs 9 to 17 % faster, n = 40, 2 processors), as do fully connected
layers that outgrow the cache. Its logits, embedding and feature map are compared with PyTorch's before anything is
written.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sightline.anatomy.macs import count_macs
from sightline.bundle import GOLDEN_IMAGES, Bundle, disagreement, write_bundle
from sightline.core.artifact import write_bytes
from sightline.core.download import cache_folder
from sightline.core.errors import UserError
from sightline.core.hashing import sha256_bytes
from sightline.core.machine import versions
from sightline.data.preprocess import Preprocess
from sightline.experience import Experience
from sightline.exporting.assembly import OPSET
from sightline.exporting.slices import bytes_a_picture
from sightline.models import Network
from sightline.models.layers import normed_convolutions
from sightline.models.resnet import Pad
from sightline.runtime import CACHE, PICTURE_BYTES, Outputs, Session


def export(
    model: Network, *, arch: str, stem: str, style: str, classes: Sequence[str], preprocess: Preprocess,
    golden_images: np.ndarray, metrics: dict[str, Any], weights: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None, out: Path, replace: bool = False, graph: bytes | None = None,
    experience: Experience | None = None,
) -> Bundle:  # fmt: skip
    """Write `model`, of full name `arch`, as a Bundle at `out` and open it; the model itself is not changed.

    `golden_images` uint8 [n, S, S, channels], n >= 1: the first 8 travel along with their logits. `metrics` is any JSON
    object; `weights` says which file the network began with, `data` what it was trained on; `graph` is the network's
    own, if it was made already; `experience` is what a training saw it know. UserError when `out` exists and `replace`
    is false, and when the network's own answers are not finite.
    RuntimeError (our mistake) when the graph differs from PyTorch by more than 1e-3 in a logit or in a first class.
    """
    if len(classes) != model.head.out_features:
        raise UserError(f"{len(classes)} class names for a network of {model.head.out_features} classes: give one each")
    golden_images = golden_images[:GOLDEN_IMAGES]
    twin = _at_rest(model)
    expected = answers(twin, preprocess, golden_images)
    if not all(np.isfinite(answer).all() for answer in expected):
        raise UserError(
            f"with these weights {arch} gives answers that are not finite: get them again, or train with a lower --lr"
        )
    tensors = safetensors.torch.save({key: value.contiguous() for key, value in twin.state_dict().items()})
    macs = count_macs(twin, (1, preprocess.channels, preprocess.size, preprocess.size))
    graph = graph or to_onnx(twin, preprocess)
    check_parity(Session(graph).run(golden_images), expected)
    card = {
        "arch": arch,
        "style": style,
        "stem": stem,
        "classes": list(classes),
        "preprocess": preprocess.to_dict(),
        "embedding_dim": model.head.in_features,
        "parameters": sum(p.numel() for p in model.parameters()),
        "macs": macs,
        "metrics": metrics,
        **({"weights": weights} if weights else {}),
        **({"data": data} if data else {}),
        "opset": OPSET,
        "versions": versions(),
    }
    write_bundle(
        out, card, graph=graph, weights=tensors, golden_images=golden_images, golden_logits=expected.logits,
        experience=experience, replace=replace,
    )  # fmt: skip
    return Bundle.open(out)


class Graph(nn.Module):
    """The network as it is exported: pixels in; logits, embedding and feature map out."""

    scale: Tensor
    shift: Tensor

    def __init__(self, network: Network, preprocess: Preprocess) -> None:
        super().__init__()
        self.network = network
        mean, std = (torch.tensor(values).reshape(-1, 1, 1) for values in (preprocess.mean, preprocess.std))
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", -mean / std)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits [N, C], embedding [N, D] and feature map [N, K, h, w] of uint8 `images` [N, S, S, channels]."""
        x = images.permute(0, 3, 1, 2).float() * self.scale + self.shift
        feature_map = self.network.forward_features(x)
        embedding = self.network.embed(feature_map)
        return self.network.head(embedding), embedding, feature_map


class OverBatch(nn.Module):
    """A fully connected layer as a 1x1 convolution whose places are the pictures of the batch.

    ONNX Runtime reads weights that do not fit the cache faster so: AlexNet gains 3 % at batch 16 and 9 % at 1, VGG-16
    4 % at 1 (n = 37, 60 and 30 turns, 2 processors; LOG.md, "Attempts at AlexNet").
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(layer.weight[:, :, None, None]), layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """[N, D] to [N, K]."""
        return functional.conv2d(x.t()[None, :, None, :], self.weight, self.bias).flatten(0, 2).t()


def to_onnx(network: Network, preprocess: Preprocess) -> bytes:
    """The ONNX file of `network` (evaluating, on the CPU; it is not changed), one piece, its batch of any size.

    Where slices of a batch run faster than the whole, its metadata says so (`runtime.PICTURE_BYTES`).
    """
    graph = Graph(_mended(copy.deepcopy(network)), preprocess)
    example = torch.zeros(2, preprocess.size, preprocess.size, preprocess.channels, dtype=torch.uint8)
    with _quiet():
        program = torch.onnx.export(
            graph, (example,), dynamo=True, verbose=False, opset_version=OPSET, input_names=["images"],
            output_names=list(Outputs._fields), dynamic_shapes=({0: torch.export.Dim("batch")},),
        )  # fmt: skip
    assert program is not None
    proto = program.model_proto
    needed = bytes_a_picture(network, preprocess)
    if needed is not None:
        proto.metadata_props.add(key=PICTURE_BYTES, value=str(needed))
    return bytes(proto.SerializeToString())


def kept_graph(network: Network, preprocess: Preprocess, origin: dict[str, Any]) -> tuple[bytes, Session]:
    """`to_onnx`'s graph and a Session of it, the graph kept in the user's cache.

    It is kept by `origin`, which says where all of the weights but the head's come from.

    With another class count, another version of a library, or when the file is damaged, it is made anew.
    """
    decides = [origin, preprocess.to_dict(), network.head.out_features, OPSET, versions()]
    name = sha256_bytes(json.dumps(decides, sort_keys=True).encode())[:32]
    path = cache_folder() / "graphs" / name
    with contextlib.suppress(OSError, UserError):
        digest, _, graph = path.read_bytes().partition(b"\n")
        if digest.decode() == sha256_bytes(graph):
            return graph, Session(graph)
    twin = copy.deepcopy(network)
    twin.head.reset_parameters()  # a bias of zeros would be left out, and could not be changed later
    graph = to_onnx(twin, preprocess)
    with contextlib.suppress(OSError):  # a full or read-only disk only costs the time
        write_bytes(path, sha256_bytes(graph).encode() + b"\n" + graph)
    return graph, Session(graph)


def with_head(graph: bytes, network: Network) -> bytes:
    """`to_onnx`'s or `kept_graph`'s graph of `network` with the head as it is now."""
    proto = onnx.load_from_string(graph)
    head = next(name for name, module in network.named_modules() if module is network.head)
    initializers = {initializer.name: initializer for initializer in proto.graph.initializer}
    for name, value in network.head.named_parameters():
        place = initializers.get(f"network.{head}.{name}")
        if place is None and not value.any():  # `to_onnx` leaves a bias of zeros out
            continue
        assert place is not None
        array = value.detach().numpy().reshape(tuple(place.dims))
        place.CopyFrom(onnx.numpy_helper.from_array(array, place.name))
    return bytes(proto.SerializeToString())


def answers(network: Network, preprocess: Preprocess, images: np.ndarray) -> Outputs:
    """What PyTorch says of uint8 `images` [n, S, S, channels]; the network evaluating, on the CPU."""
    with torch.inference_mode():
        return Outputs(*(output.numpy() for output in Graph(network, preprocess)(torch.from_numpy(images))))


def check_parity(found: Outputs, expected: Outputs) -> None:
    """RuntimeError when the graph's outputs differ from PyTorch's."""
    difference = disagreement(found.logits, expected.logits)
    if difference:
        raise RuntimeError(f"the exported graph differs from PyTorch: {difference}")
    for name in ("embedding", "feature_map"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        if not np.allclose(ours, theirs, atol=1e-3 + 1e-5 * np.abs(theirs).max(initial=0)):
            raise RuntimeError(f"the exported graph differs from PyTorch in its {name}")


def _at_rest(model: Network) -> Network:
    """`model` itself where it evaluates on the CPU in float32, else a copy that does."""
    numbers = [tensor for tensor in (*model.parameters(), *model.buffers()) if tensor.is_floating_point()]
    there = all(tensor.device.type == "cpu" and tensor.dtype == torch.float32 for tensor in numbers)
    if there and not any(module.training for module in model.modules()):
        return model
    return copy.deepcopy(model).to("cpu", torch.float32).eval()


def _mended(network: Network) -> Network:
    """`network` itself as convolutions: batch norm folded into the one before it, what is faster so written as one."""
    for module, convolution, norm in list(normed_convolutions(network)):
        setattr(module, convolution, fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm)))
        setattr(module, norm, nn.Identity())
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, Pad):
                setattr(module, name, child.as_convolution())
            if isinstance(child, nn.Linear) and child.weight.nbytes > CACHE:
                setattr(module, name, OverBatch(child))
    return network


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's remarks about absent packages and its own deprecations are nobody's business."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
