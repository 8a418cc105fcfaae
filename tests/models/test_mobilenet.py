from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sightline.anatomy.macs import count_macs
from sightline.models import Network, create
from sightline.models.mobilenet import InvertedResidual


def a_network(name: str, **options: str) -> Network:
    with torch.device("meta"):
        return create(name, num_classes=1000, **options).eval()


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


# Howard et al. (2017), Tables 6 and 7: multiplier, pixels, millions of multiply-adds, millions of parameters
@pytest.mark.parametrize(
    ("width", "size", "macs", "count"),
    [
        ("1", 224, 569, "4.2"),
        ("0.75", 224, 325, "2.6"),
        ("0.5", 224, 149, "1.3"),
        ("0.25", 224, 41, "0.5"),
        ("1", 192, 418, "4.2"),
        ("1", 128, 186, "4.2"),
    ],
)
def test_version_1_costs_what_the_paper_says(width: str, size: int, macs: int, count: str) -> None:
    model = a_network(f"mobilenet_v1:width={width}")
    assert round(count_macs(model, (1, 3, size, size)) / 1e6) == macs
    assert f"{parameters(model) / 1e6:.1f}" == count


def test_a_separable_convolution_costs_a_ninth_and_one_in_its_channels() -> None:
    # Howard et al. (2017), section 3.1: 1 / channels + 1 / kernel area.
    separable = a_network("mobilenet_v1").get_submodule("features.7")
    full = nn.Conv2d(512, 512, 3, padding=1, bias=False)
    ratio = count_macs(separable, (1, 512, 14, 14)) / count_macs(full, (1, 512, 14, 14))
    assert ratio == pytest.approx(1 / 512 + 1 / 9)


# Sandler et al. (2018), Table 4 and section 6.1
@pytest.mark.parametrize(("width", "size", "macs"), [(1.0, 224, 300), (1.4, 224, 585), (0.5, 160, 50)])
def test_version_2_costs_what_the_paper_says(width: float, size: int, macs: int) -> None:
    model = a_network(f"mobilenet_v2:width={width}")
    assert count_macs(model, (1, 3, size, size)) / 1e6 == pytest.approx(macs, rel=0.01)


@pytest.mark.parametrize(("width", "last"), [(0.35, 1280), (1.0, 1280), (1.4, 1792)])
def test_a_small_width_leaves_the_last_convolution_alone(width: float, last: int) -> None:
    assert a_network(f"mobilenet_v2:width={width}").head.in_features == last


def test_bottlenecks_are_linear_and_residual_where_nothing_changes() -> None:
    model = a_network("mobilenet_v2")
    blocks = [m for m in model.modules() if isinstance(m, InvertedResidual)]
    assert len(blocks) == 17
    assert sum(block.residual for block in blocks) == 10
    assert all(isinstance(block.conv[-1], nn.BatchNorm2d) for block in blocks)
    block = InvertedResidual(8, 8, 1, 6, lambda *_, **__: nn.Sequential()).eval()
    block.conv = nn.Sequential(nn.Conv2d(8, 8, 1))
    x = torch.rand(1, 8, 4, 4)
    torch.testing.assert_close(block(x), block.conv(x) + x)


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2"])
def test_the_papers_form_pads_right_and_bottom_only_and_has_tensorflows_epsilon(name: str) -> None:
    torch.manual_seed(0)
    ours, papers = (create(name, num_classes=10, style=style).eval() for style in ("torchvision", "paper"))
    papers.load_state_dict(ours.state_dict())
    x = torch.rand(1, 3, 64, 64)
    first = [model.get_submodule("features.0.0") for model in (ours, papers)]
    weight = first[0].get_parameter("weight")
    torch.testing.assert_close(first[0](x), F.conv2d(F.pad(x, (1, 1, 1, 1)), weight, stride=2))
    torch.testing.assert_close(first[1](x), F.conv2d(F.pad(x, (0, 1, 0, 1)), weight, stride=2))
    assert count_macs(ours, (1, 3, 64, 64)) == count_macs(papers, (1, 3, 64, 64))
    assert [{m.eps for m in model.modules() if isinstance(m, nn.BatchNorm2d)} for model in (ours, papers)] == [
        {1e-5},
        {0.001},
    ]


def test_dropout_before_the_last_layer_of_version_2_while_training_only() -> None:
    model, feature_map = create("mobilenet_v2", num_classes=2), torch.rand(4, 1280, 2, 2) + 1
    assert 0.1 < (model.train().embed(feature_map) == 0).float().mean() < 0.3
    assert not (model.eval().embed(feature_map) == 0).any()
