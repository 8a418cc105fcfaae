from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sightline.anatomy.macs import count_macs
from sightline.models import Network, architecture, create
from sightline.models.efficientnet import MBConv, SqueezeExcitation, StochasticDepth


def a_network(name: str, **options: str) -> Network:
    with torch.device("meta"):
        return create(name, num_classes=1000, **options).eval()


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


# Tan and Le (2019), Table 2 and section 5: pixels, millions of parameters, thousand millions of multiply-adds
@pytest.mark.parametrize(
    ("number", "size", "count", "macs"),
    [
        (0, 224, 5.3, 0.39),
        (1, 240, 7.8, 0.70),
        (2, 260, 9.2, 1.0),
        (3, 300, 12, 1.8),
        (4, 380, 19, 4.2),
        (5, 456, 30, 9.9),
        (6, 528, 43, 19),
        (7, 600, 66, 37),
    ],
)
def test_b0_to_b7_cost_what_the_paper_says(number: int, size: int, count: float, macs: float) -> None:
    model = a_network(f"efficientnet_b{number}", style="paper")
    assert parameters(model) / 1e6 == pytest.approx(count, rel=0.02)
    assert count_macs(model, (1, 3, size, size)) / 1e9 == pytest.approx(macs, rel=0.05)


def test_phi_0_is_b0() -> None:
    ours, b0 = a_network("efficientnet"), a_network("efficientnet_b0")
    assert [(key, v.shape) for key, v in ours.state_dict().items()] == [
        (k, v.shape) for k, v in b0.state_dict().items()
    ]
    assert architecture("efficientnet").size == 224


@pytest.mark.parametrize(("phi", "size"), [("1", 258), ("1.5", 276), ("7", 596)])
def test_phi_decides_the_size(phi: str, size: int) -> None:
    assert architecture(f"efficientnet:phi={phi}").size == size


@pytest.mark.slow
@settings(max_examples=5)
@given(st.integers(0, 12))
def test_each_step_of_phi_about_doubles_the_multiply_adds(halves: int) -> None:
    # Depth 1.2 x width 1.1^2 x resolution 1.15^2 = 1.92 (section 3.3, equation 3); counts are whole.
    first, second = (f"efficientnet:phi={phi}" for phi in (halves / 2, halves / 2 + 1))
    costs = [count_macs(a_network(name), (1, 3, *[architecture(name).size] * 2)) for name in (first, second)]
    assert 1.5 < costs[1] / costs[0] < 2.7


def test_squeeze_and_excitation_weighs_channels_by_all_of_their_means() -> None:
    torch.manual_seed(0)
    module, x = SqueezeExcitation(8, 2), torch.rand(3, 8, 5, 5)
    weights = module(x) / x
    assert ((weights > 0) & (weights < 1)).all()
    torch.testing.assert_close(weights, weights.mean((2, 3), keepdim=True).expand_as(weights))
    other = x.clone()
    other[:, 0] += 1
    assert not torch.allclose(module(other)[:, 1:], module(x)[:, 1:])


def test_stochastic_depth_leaves_pictures_out_while_training_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    module, x = StochasticDepth(0.2), torch.ones(4000, 2, 1, 1)
    found = module.train()(x)
    assert set(found.unique().tolist()) == {0.0, 1.25}
    assert torch.equal(found[:, 0], found[:, 1])
    assert found.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(module.eval()(x), x)
    assert torch.equal(StochasticDepth(0).train()(x), x)


def test_blocks_are_left_out_the_more_often_the_deeper_they_are() -> None:
    rates = [m.stochastic_depth.left_out for m in a_network("efficientnet_b0").modules() if isinstance(m, MBConv)]
    assert len(rates) == 16
    assert rates == pytest.approx([0.2 * i / 16 for i in range(16)])


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("efficientnet_b0", 0.2),
        ("efficientnet_b7", 0.5),
        ("efficientnet", 0.2),
        ("efficientnet:phi=2", 0.3),
        ("efficientnet:phi=7", 0.5),
    ],
)
def test_dropout_grows_with_the_network(name: str, rate: float) -> None:
    assert [m.p for m in a_network(name).modules() if isinstance(m, nn.Dropout)] == [pytest.approx(rate)]


def test_the_papers_form_has_the_same_keys_and_tensorflows_padding_and_epsilon() -> None:
    ours, papers = (a_network("efficientnet_b0", style=style) for style in ("torchvision", "paper"))
    assert list(ours.state_dict()) == list(papers.state_dict())
    assert {m.eps for m in papers.modules() if isinstance(m, nn.BatchNorm2d)} == {0.001}
    assert {m.eps for m in ours.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-5}
    assert [m.padding for m in papers.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)] == [(0, 0)] * 5
    assert count_macs(ours, (1, 3, 224, 224)) == count_macs(papers, (1, 3, 224, 224))
