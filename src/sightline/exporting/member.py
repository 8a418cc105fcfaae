"""A member of a combination: a network, the views it is shown, and what its answer counts.

Views of the network's own size go through the graph of its Bundle; for larger ones, which are dense, a graph of that
size is made of its weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import onnx
from onnx.version_converter import convert_version
from PIL import Image

from sightline.bundle import GOLDEN, GRAPH, Bundle, read_golden
from sightline.data.preprocess import Preprocess
from sightline.exporting.assembly import OPSET
from sightline.exporting.dense import dense_graph
from sightline.exporting.views import View
from sightline.runtime import CACHE, PICTURE_BYTES

TOGETHER = 32  # views that go through a network at once where whole batches serve it best


@dataclass(frozen=True, eq=False)
class Part:
    """The `views`, all of one size, that go through `graph`; `macs` are its multiply-adds for one.

    `larger` is how many pictures of the network's own size one view amounts to.
    """

    graph: onnx.ModelProto
    views: tuple[View, ...]
    macs: int
    larger: float

    @property
    def one_by_one(self) -> bool:
        """Whether the graph asks for small batches (`slices`), so that it takes one view after the other."""
        return self._stated is not None and len(self.views) > 1

    @property
    def bytes_a_picture(self) -> int:
        """What the runtime is to reckon with: what a view takes, or so much that `TOGETHER` views make a batch."""
        return self._stated or round(len(self.views) * self.larger * CACHE / TOGETHER)

    @property
    def _stated(self) -> int | None:
        said = {entry.key: entry.value for entry in self.graph.metadata_props}
        return int(said[PICTURE_BYTES]) if PICTURE_BYTES in said else None

    @property
    def shapes(self) -> dict[str, list[int]]:
        """The outputs' shapes, without the batch."""
        outputs = self.graph.graph.output
        return {one.name: [axis.dim_value for axis in one.type.tensor_type.shape.dim[1:]] for one in outputs}


@dataclass(frozen=True, eq=False)
class Member:
    """`weight` is its share of the average, in (0, 1]."""

    bundle: Bundle
    parts: tuple[Part, ...]
    weight: float

    @classmethod
    def of(cls, bundle: Bundle, views: Sequence[View], weight: float) -> Member:
        """The network of `bundle` shown these views; UserError where they need a graph that cannot be made."""
        sides = groupby(views, key=lambda view: view.side)
        return cls(bundle, tuple(_part(bundle, side, tuple(of)) for side, of in sides), weight)

    @property
    def views(self) -> int:
        """How many it is shown of each picture."""
        return sum(len(part.views) for part in self.parts)

    @property
    def macs(self) -> int:
        """Multiply-adds a picture, all views together."""
        return sum(part.macs * len(part.views) for part in self.parts)

    def document(self) -> dict[str, Any]:
        """What a combination's card says of it."""
        known = {key: value for key, value in self.bundle.card.items() if key in ("arch", "style", "stem")}
        return {**known, "model_hash": self.bundle.model_hash, "weight": self.weight, "views": self.views}


def golden_pictures(bundle: Bundle, preprocess: Preprocess) -> np.ndarray:
    """The golden pictures of `bundle` as `preprocess` makes them of what is there: uint8 [n, size, size, channels]."""
    images, _ = read_golden(bundle.path / GOLDEN)
    return np.stack([preprocess(Image.fromarray(image.squeeze())) for image in images])


def _part(bundle: Bundle, side: int, views: tuple[View, ...]) -> Part:
    size = bundle.preprocess.size
    if side == size:
        graph, macs = (bundle.path / GRAPH).read_bytes(), bundle.card["macs"]
    else:
        whole = replace(bundle.preprocess, size=side, crop_frac=1.0)
        graph, macs = dense_graph(bundle, whole, golden_pictures(bundle, whole))
    return Part(_current(onnx.load_from_string(graph)), views, macs, (side / size) ** 2)


def _current(graph: onnx.ModelProto) -> onnx.ModelProto:
    """`graph` in the version of ONNX's operators that a combination is written in."""
    if graph.opset_import[0].version == OPSET:
        return graph
    converted = convert_version(graph, OPSET)
    converted.metadata_props.extend(graph.metadata_props)
    return converted
