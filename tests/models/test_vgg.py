from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sightline.anatomy.macs import count_macs
from sightline.models import create


def a_network(name: str) -> nn.Module:
    with torch.device("meta"):
        return create(name, num_classes=1000).eval()


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# Simonyan and Zisserman (2014), Table 2: millions of parameters
@pytest.mark.parametrize(("layers", "millions"), [(11, 133), (13, 133), (16, 138), (19, 144)])
def test_layers_and_parameters_are_the_papers(layers: int, millions: int) -> None:
    model = a_network(f"vgg{layers}")
    assert len([m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]) == layers
    assert round(parameters(model) / 1e6) == millions
    assert all(m.kernel_size == (3, 3) for m in model.modules() if isinstance(m, nn.Conv2d))


def test_the_convolutions_compute_and_the_classifier_weighs() -> None:
    # Of 138 M parameters 124 M are the classifier's; the 15.3 G that He et al. (2015) count are the convolutions'.
    model = a_network("vgg16")
    classifier = model.get_submodule("classifier")
    assert parameters(classifier) == 123_642_856
    assert parameters(classifier[0]) == 102_764_544
    assert f"{count_macs(model.get_submodule('features'), (1, 3, 224, 224)) / 1e9:.1f}" == "15.3"


@pytest.mark.parametrize("layers", [11, 13, 16, 19])
def test_batch_norm_changes_neither_convolutions_nor_multiply_adds(layers: int) -> None:
    plain, normed = a_network(f"vgg{layers}"), a_network(f"vgg{layers}_bn")
    shapes = [[m.weight.shape for m in model.modules() if isinstance(m, nn.Conv2d)] for model in (plain, normed)]
    assert shapes[0] == shapes[1]
    norms = [m for m in normed.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == layers - 3
    assert parameters(normed) == parameters(plain) + sum(parameters(norm) for norm in norms)
    assert count_macs(normed, (1, 3, 64, 64)) == count_macs(plain, (1, 3, 64, 64))


def test_hidden_layers_belong_to_the_embedding_and_drop_out_while_training() -> None:
    torch.manual_seed(0)
    model, feature_map = create("vgg11", num_classes=2, stem="small"), torch.rand(4, 512, 1, 1)
    with torch.no_grad():
        assert not torch.equal(model.train().embed(feature_map), model.embed(feature_map))
        found = model.eval().embed(feature_map)
    assert torch.equal(found, model.embed(feature_map))
    assert found.shape == (4, 512)


def test_the_feature_map_is_pooled_to_seven_by_seven() -> None:
    # 64 pixels leave 2x2 places; the classifier sees each of them several times.
    seen: list[Tensor] = []
    model = a_network("vgg11")
    model.get_submodule("classifier.0").register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    model(torch.empty(1, 3, 64, 64, device="meta"))
    assert [x.shape for x in seen] == [(1, 512 * 7 * 7)]
