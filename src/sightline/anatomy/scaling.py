"""How parameters and multiply-adds grow with width, depth and resolution: together (EfficientNet's rule) or one alone.

Twice the width costs four times the MACs and parameters, twice the depth twice both, twice the side of the picture four
times the MACs and not one parameter. Compound scaling (Tan & Le 2019, section 3.3) spreads a doubling over all three.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sightline.anatomy.cost import Cost, cost, module_cost
from sightline.models import STYLES, architecture
from sightline.models.blank import blank
from sightline.models.efficientnet import EfficientNet, Scale

DEPTH, WIDTH, RESOLUTION = 1.2, 1.1, 1.15  # Tan & Le 2019, section 4: alpha, beta, gamma
PHIS = range(8)
WIDTHS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.4)
SIZES = (96, 128, 160, 192, 224, 256, 288, 320)
LAYERS = (18, 34, 50, 101, 152)


def curves() -> dict[str, Any]:
    """One curve a name: what it goes `along`, its `source`, and points of (at, network, size, parameters, macs)."""
    rule = "Tan & Le 2019, section 3.3"
    return {
        "EfficientNet, compound": _curve("phi", rule, (_compound(phi) for phi in PHIS)),
        "EfficientNet, width alone": _curve("phi", rule, (_alone(phi, width=WIDTH**phi) for phi in PHIS)),
        "EfficientNet, depth alone": _curve("phi", rule, (_alone(phi, depth=DEPTH**phi) for phi in PHIS)),
        "EfficientNet, resolution alone": _curve(
            "phi", rule, (_named(phi, "efficientnet_b0", round(224 * RESOLUTION**phi)) for phi in PHIS)
        ),
        "EfficientNet B0 to B7": _curve(
            "B", "Tan & Le 2019, Table 2", (_named(n, f"efficientnet_b{n}") for n in PHIS)
        ),
        "MobileNet v1, width": _curve(
            "width", "Howard et al. 2017, Table 6", (_named(w, f"mobilenet_v1:width={w:g}") for w in WIDTHS)
        ),
        "MobileNet v2, width": _curve(
            "width", "Sandler et al. 2018, section 4", (_named(w, f"mobilenet_v2:width={w:g}") for w in WIDTHS)
        ),
        "MobileNet v2, resolution": _curve(
            "pixels", "Sandler et al. 2018, section 4", (_named(size, "mobilenet_v2", size) for size in SIZES)
        ),
        "ResNet, depth": _curve("layers", "He et al. 2015, Table 1", (_named(n, f"resnet{n}") for n in LAYERS)),
    }  # fmt: skip


def _curve(along: str, source: str, points: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"along": along, "source": source, "points": list(points)}


def _named(at: float, name: str, size: int = 0) -> dict[str, Any]:
    size = size or architecture(name).size
    return _point(at, name, size, cost(name, size=size))


def _compound(phi: int) -> dict[str, Any]:
    return _named(phi, f"efficientnet:phi={phi}")


def _alone(phi: int, *, width: float = 1.0, depth: float = 1.0) -> dict[str, Any]:
    """B0 with its width or its depth scaled: a network without a name."""
    with blank():
        network = EfficientNet(Scale(width, depth, 224, 0.2), 1000, 3, "imagenet", STYLES[0])
    made = f"efficientnet_b0, width x {width:.2f}, depth x {depth:.2f}"
    return _point(phi, made, 224, module_cost(network, (1, 3, 224, 224)))


def _point(at: float, network: str, size: int, counted: Cost) -> dict[str, Any]:
    return {"at": at, "network": network, "size": size, **counted.document()}
