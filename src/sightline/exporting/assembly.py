"""An ONNX graph in the making: nodes by what they compute, whole networks within it, equal constants held once."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import EncodeError
from onnx import GraphProto, TensorProto, helper, numpy_helper
from onnx.compose import add_prefix_graph

from sightline.core.errors import UserError
from sightline.core.hashing import sha256_bytes
from sightline.runtime import Outputs

OPSET = 20
LARGEST = 2**31 - 1  # bytes that an ONNX file may have
IR_VERSION = 10  # of the ONNX release that brought the opset


class Assembly:
    """Nodes and constants; a value is known by its name."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], str], TensorProto] = {}
        self._count = 0

    def node(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """The last of the `outputs` of a new node of that `kind`; an input that is left out is an empty name."""
        output = self._fresh(kind.lower())
        others = [f"{output}_{place}" for place in range(outputs - 1)]
        self._nodes.append(helper.make_node(kind, inputs, [*others, output], name=output, **attributes))
        return output

    def constant(self, value: Any, dtype: Any = np.int64) -> str:
        """A constant of that value."""
        return self._hold(numpy_helper.from_array(np.asarray(value, dtype)))

    def network(self, graph: GraphProto, images: str) -> list[str]:
        """Sightline's `graph` applied to uint8 `images` [N, H, W, C]; its outputs."""
        inlined = add_prefix_graph(graph, self._fresh("network") + ".")
        renamed = {tensor.name: self._hold(tensor) for tensor in inlined.initializer}
        renamed[inlined.input[0].name] = images
        for node in inlined.node:
            node.input[:] = [renamed.get(name, name) for name in node.input]
            self._nodes.append(node)
        return [output.name for output in inlined.output]

    def network_by_view(self, graph: GraphProto, images: str) -> list[str]:
        """Sightline's `graph` applied to one view after the other of `images` [V, N, H, W, C]; outputs [V, N, ...]."""
        name = self._fresh("network")
        body = add_prefix_graph(graph, name + ".")
        outputs = [f"{name}_{output}" for output in Outputs._fields]
        self._nodes.append(helper.make_node("Scan", [images], outputs, name=name, body=body, num_scan_inputs=1))
        return outputs

    def model(
        self, images: Sequence[int], outputs: Sequence[str], shapes: Sequence[Sequence[int]], metadata: dict[str, str]
    ) -> bytes:
        """The ONNX file that takes uint8 `images` [batch, ...] and gives `outputs` as logits, embedding, feature map.

        `images` and `shapes` are those of input and outputs without the batch. UserError when it is too large.
        """
        self._nodes += [
            helper.make_node("Identity", [output], [name])
            for output, name in zip(outputs, Outputs._fields, strict=True)
        ]
        graph = helper.make_graph(
            self._nodes,
            "sightline",
            [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", *images])],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
                for name, shape in zip(Outputs._fields, shapes, strict=True)
            ],
            list(self._constants.values()),
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        helper.set_model_props(made, metadata)
        weights = sum(len(tensor.raw_data) for tensor in self._constants.values())
        with contextlib.suppress(EncodeError):
            if weights <= LARGEST and len(data := bytes(made.SerializeToString())) <= LARGEST:
                return data
        raise UserError("the combination has more than the 2 GB an ONNX file may have: take fewer networks")

    def _fresh(self, name: str) -> str:
        self._count += 1
        return f"{name}_{self._count}"

    def _hold(self, tensor: TensorProto) -> str:
        """The name of a constant like `tensor`, which is held, under a new name, if it is the first such."""
        array = numpy_helper.to_array(tensor)
        key = (str(array.dtype), array.shape, sha256_bytes(array.tobytes()))
        if key not in self._constants:
            tensor.name = self._fresh("constant")
            self._constants[key] = tensor
        return self._constants[key].name
