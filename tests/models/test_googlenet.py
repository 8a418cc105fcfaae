from __future__ import annotations

import pytest
import torch
from torch import nn

from sightline.anatomy.macs import count_macs
from sightline.models import create
from sightline.models.googlenet import INCEPTIONS, GoogLeNet, Inception


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_auxiliary_heads_speak_while_training_only() -> None:
    model = create("googlenet", num_classes=3)
    outputs = model.train()(torch.rand(2, 3, 64, 64))
    assert isinstance(outputs, tuple)
    assert [tuple(output.shape) for output in outputs] == [(2, 3)] * 3
    assert isinstance(model.eval()(torch.rand(2, 3, 64, 64)), torch.Tensor)


def test_without_auxiliary_heads() -> None:
    model = create("googlenet", num_classes=1000, aux=False)
    assert parameters(model) == 6_624_904
    assert isinstance(model.train()(torch.rand(2, 3, 64, 64)), torch.Tensor)
    assert count_macs(model, (1, 3, 224, 224)) == count_macs(create("googlenet", num_classes=1000), (1, 3, 224, 224))


def test_the_papers_form() -> None:
    model = create("googlenet", num_classes=1000, style="paper", aux=False)
    assert isinstance(model, GoogLeNet)
    kernels = {name: m.kernel_size for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    assert kernels["inception3a.branch3.1.conv"] == (5, 5)
    assert not [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    # Weights and biases of Table 1 (as Caffe's bvlc_googlenet); the table's rounded rows sum to 6.8 M and 1.5 G.
    assert parameters(model) == 6_998_552
    assert count_macs(model, (1, 3, 224, 224)) == 1_582_671_872


def test_table_1_sizes_at_224() -> None:
    model = create("googlenet", num_classes=10, style="paper").eval()
    assert isinstance(model, GoogLeNet)
    shapes, x = {}, torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        for module in model.trunk:
            x = module(x)
            shapes[module] = tuple(x.shape)
    assert shapes[model.inception4a] == (1, 512, 14, 14)
    assert shapes[model.inception4d] == (1, 528, 14, 14)
    assert shapes[model.inception5b] == (1, 1024, 7, 7)


def test_inception_3a_is_28x28x192_to_28x28x256() -> None:
    channels_in, *counts = INCEPTIONS["inception3a"]
    for paper in (False, True):
        module = Inception(channels_in, *counts, paper=paper)
        assert module(torch.rand(1, 192, 28, 28)).shape == (1, 256, 28, 28)
    # Reduction and 5x5 of the paper: 2,408,448 + 10,035,200 multiply-adds.
    assert count_macs(module.branch3, (1, 192, 28, 28)) == 2_408_448 + 10_035_200


@pytest.mark.parametrize("width", [0.25, 0.5, 2])
def test_width_scales_parameters_by_about_its_square(width: float) -> None:
    whole = parameters(create("googlenet", num_classes=10, aux=False))
    found = parameters(create("googlenet", num_classes=10, aux=False, width=width))
    assert found / whole == pytest.approx(width**2, rel=0.15)


@pytest.mark.parametrize(("style", "share"), [("torchvision", 0.2), ("paper", 0.4)])
def test_dropout_before_the_last_layer_while_training_only(style: str, share: float) -> None:
    torch.manual_seed(0)
    model = create("googlenet", num_classes=10, style=style)
    feature_map = torch.rand(8, 1024, 2, 2) + 1
    assert (model.train().embed(feature_map) == 0).float().mean() == pytest.approx(share, abs=0.03)
    assert not (model.eval().embed(feature_map) == 0).any()


def test_auxiliary_heads_drop_70_percent() -> None:
    # Szegedy et al. (2014), section 5: "A dropout layer with 70% ratio of dropped outputs".
    model = create("googlenet", num_classes=10)
    assert isinstance(model, GoogLeNet)
    assert [head.dropout.p for head in (model.aux1, model.aux2)] == [0.7, 0.7]


def test_the_papers_form_normalises_over_five_channels() -> None:
    # Figure 3 does not say the numbers: those of Caffe's bvlc_googlenet, alpha 1e-4 on the mean of 5 channels and k 1.
    a = torch.rand(2, 12, 3, 3) * 100
    sums = torch.stack([a[:, max(0, i - 2) : i + 3].square().sum(1) for i in range(12)], 1)
    model = create("googlenet", num_classes=10, style="paper")
    assert isinstance(model, GoogLeNet)
    for norm in (model.norm1, model.norm2):
        torch.testing.assert_close(norm(a), a / (1 + 1e-4 / 5 * sums) ** 0.75)
