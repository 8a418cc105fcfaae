from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn

from sightline.anatomy import ideas
from sightline.anatomy.cost import build, cost, module_cost
from sightline.anatomy.ideas import full_twin
from sightline.anatomy.trace import trace

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return ideas.table()


@pytest.fixture(scope="module")
def named(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {idea["name"]: idea for idea in document["ideas"]}


def test_the_document(document: dict[str, Any]) -> None:
    assert json.loads(json.dumps(document)) == document
    assert document["kind"] == "ideas"
    for idea in document["ideas"]:
        figure = idea["figure"]
        assert idea["ratio"] == idea["with"][figure] / idea["without"][figure]
        assert idea["what"].endswith(".")
        for side in (idea["with"], idea["without"]):
            assert f"{side['macs']:,}" in side["formula"]


@pytest.mark.parametrize(
    ("name", "figure", "with_it", "without"),
    [
        ("1x1 reduction", "macs", 12_443_648, 120_422_400),
        ("Reductions in an inception module", "macs", 128_049_152, 303_464_448),
        ("Reductions in a whole network", "macs", 1_582_671_872, 12_568_061_056),
        ("Bottleneck", "macs", 160_432_128, 2_717_908_992),
        ("Depthwise separable convolution", "macs", 672, 2_160),
        ("Depthwise separable in a whole network", "macs", 568_740_352, 4_867_293_184),
        ("Global average pooling", "parameters", 15_227_688, 138_357_544),
        ("Two 3x3 for one 5x5", "macs", 2 * 9, 25),
        ("Three 3x3 for one 7x7", "macs", 3 * 9, 49),
        ("Residual shortcuts", "macs", 3_663_761_408, 3_644_493_824),
        ("Residual shortcuts", "parameters", 21_797_672, 21_623_848),
        ("Shortcut option B", "parameters", 272_474, 269_722),
        ("Shortcut option C", "macs", 42_648_192, 40_551_040),
    ],
)
def test_with_and_without(named: dict[str, dict[str, Any]], name: str, figure: str, with_it: int, without: int) -> None:
    idea = named[name]
    unit = 1 if without > 100 else 56 * 56 * 256 * 256  # the kernels' shares of VGG's 56x56x256
    assert (idea["with"][figure], idea["without"][figure]) == (with_it * unit, without * unit)


def test_the_courses_ratio(named: dict[str, dict[str, Any]]) -> None:
    assert named["Depthwise separable convolution"]["ratio"] == pytest.approx(1 / 5 + 1 / 9)
    assert named["Two 3x3 for one 5x5"]["ratio"] == pytest.approx(18 / 25)


def test_vggs_linear_layers_hold_most_of_it(named: dict[str, dict[str, Any]]) -> None:
    assert "123,642,856 of its 138,357,544 parameters" in named["Global average pooling"]["what"]


def test_the_full_twin_is_the_papers() -> None:
    """Howard et al. 2017, Table 4: 4,866 million and 29.3 million."""
    twin = full_twin("mobilenet_v1")
    assert round(twin.parameters / 1e6, 1) == 29.3
    assert twin.macs / 1e6 == pytest.approx(4866, rel=5e-4)


def test_the_full_twin_is_what_a_network_of_full_convolutions_costs() -> None:
    pairs = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    channels = 3
    with torch.device("meta"):
        twin = nn.Sequential()
        for filters, stride in [(32, 2), *pairs]:
            twin.extend([nn.Conv2d(channels, filters, 3, stride, 1, bias=False), nn.BatchNorm2d(filters)])
            channels = filters
        twin.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000)])
    assert module_cost(twin, (1, 3, 224, 224)) == full_twin("mobilenet_v1")


def test_scaling(document: dict[str, Any]) -> None:
    curves = document["scaling"]
    for name, curve in curves.items():
        assert [p["at"] for p in curve["points"]] == sorted(p["at"] for p in curve["points"]), name
        macs = [p["macs"] for p in curve["points"]]
        assert macs == sorted(macs), name
    compound = curves["EfficientNet, compound"]["points"]
    alone = [curves[f"EfficientNet, {one} alone"]["points"] for one in ("width", "depth", "resolution")]
    assert all(points[0]["macs"] == compound[0]["macs"] == 385_814_752 for points in alone)
    assert all(points[7]["macs"] < compound[7]["macs"] for points in alone)
    # Equation 3: every phi about doubles the work, alpha * beta^2 * gamma^2 = 1.92
    assert (compound[7]["macs"] / compound[0]["macs"]) ** (1 / 7) == pytest.approx(1.2 * 1.1**2 * 1.15**2, rel=0.02)
    assert len({p["parameters"] for p in alone[2]}) == 1
    widths = {p["at"]: p for p in curves["MobileNet v1, width"]["points"]}
    # Howard et al. 2017, Table 6
    assert [round(widths[w]["macs"] / 1e6) for w in (0.25, 0.5, 0.75, 1.0)] == [41, 149, 325, 569]
    assert [round(widths[w]["parameters"] / 1e6, 1) for w in (0.25, 0.5, 0.75, 1.0)] == [0.5, 1.3, 2.6, 4.2]


def test_a_cost_is_of_what_evaluation_runs_at_the_networks_own_size() -> None:
    anatomy = trace("efficientnet_b1")
    assert (cost("efficientnet_b1").parameters, cost("efficientnet_b1").macs) == (anatomy.parameters, anatomy.macs)
    assert not build("efficientnet_b1").training
