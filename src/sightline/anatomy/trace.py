"""The anatomy of a network: every layer's shape, parameters, multiply-adds and receptive field, without weights.

It is built and run on the meta device, where shapes flow and no number is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import Any

import torch

from sightline.anatomy.cost import CLASSES, parameters
from sightline.anatomy.graph import depth, peak_activations, with_receptive_fields
from sightline.anatomy.layer import Layer
from sightline.anatomy.record import record
from sightline.anatomy.stages import with_stages
from sightline.models import STYLES, architecture, check_size, create
from sightline.models.blank import blank

FLOAT32 = 4  # bytes


@dataclass(frozen=True)
class Anatomy:
    """A network's layers in the order they run at batch 1; `parameters` counts also what does not run (`auxiliary`)."""

    name: str
    style: str
    stem: str
    input: tuple[int, int, int]
    classes: int
    layers: tuple[Layer, ...]
    parameters: int

    @property
    def macs(self) -> int:
        """Multiply-adds of one picture."""
        return sum(layer.macs for layer in self.layers)

    @property
    def auxiliary(self) -> int:
        """Parameters that do not run in evaluation: those of auxiliary heads."""
        return self.parameters - sum(layer.parameters for layer in self.layers)

    def document(self) -> dict[str, Any]:
        """The anatomy as JSON; docs/anatomy.md explains the keys."""
        return {
            "kind": "anatomy",
            "name": self.name,
            "style": self.style,
            "stem": self.stem,
            "input": list(self.input),
            "classes": self.classes,
            "layers": [layer.document() for layer in self.layers],
            "stages": self.stages(),
            "auxiliary": {"parameters": self.auxiliary},
            "total": self.total(),
        }

    def stages(self) -> list[dict[str, Any]]:
        """The stages in order: layers with weights one behind another, the last output, the sums of the rest."""
        runs = [list(run) for _, run in groupby(self.layers, key=lambda layer: layer.stage)]
        return [
            {
                "name": run[0].stage,
                "layers": depth(run),
                "output": list(run[-1].output),
                "parameters": sum(layer.parameters for layer in run),
                "macs": sum(layer.macs for layer in run),
                "activations": sum(layer.activations for layer in run),
            }
            for run in runs
        ]

    def total(self) -> dict[str, Any]:
        """The whole network.

        Sizes are of what runs, batch norm folded into the convolutions: the weights of convolutions and linear layers
        and a bias an output channel, 4 bytes each in float32; in int8 a weight is 1 byte, a channel also has a scale.
        """
        weights, channels = (sum(getattr(layer, key) for layer in self.layers) for key in ("weights", "channels"))
        return {
            "layers": depth(self.layers),
            "parameters": self.parameters,
            "parameters_without_auxiliary": self.parameters - self.auxiliary,
            "macs": self.macs,
            "flops": 2 * self.macs,
            "float32_bytes": FLOAT32 * (weights + channels),
            "int8_bytes": weights + 2 * FLOAT32 * channels,
            "peak_activation_bytes": FLOAT32 * peak_activations(self.layers, prod(self.input)),
            "receptive_field": max((x.receptive_field for x in self.layers if x.receptive_field), default=None),
        }


def trace(
    name: str, *, size: int | None = None, num_classes: int | None = None, in_channels: int = 3,
    stem: str | None = None, style: str = STYLES[0],
) -> Anatomy:  # fmt: skip
    """The anatomy of the network of full name `name` on a picture of `size` pixels (None: the one it is meant for).

    Classes are ImageNet's 1000 by default, CIFAR's 10 for networks meant for small pictures.

    UserError for an unknown name, stem, style or option, for counts below 1, and for a picture too small for it.
    """
    found = architecture(name)
    size = found.size if size is None else size
    num_classes = CLASSES[found.stems[0]] if num_classes is None else num_classes
    with blank():
        network = create(name, num_classes=num_classes, in_channels=in_channels, stem=stem, style=style).eval()
        picture = torch.empty(1, in_channels, size, size)
    try:
        layers = record(network, picture)
    except RuntimeError:
        check_size(name, size, stem=stem, style=style)
        raise
    layers = with_stages(network, with_receptive_fields(layers))
    return Anatomy(
        name, style, stem or found.stems[0], (in_channels, size, size), num_classes, tuple(layers), parameters(network)
    )
