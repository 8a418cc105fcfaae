from __future__ import annotations

import torch
from torch import nn

from sightline.anatomy.macs import count_macs
from sightline.models import create
from sightline.models.alexnet import AlexNet


def a_network(**options: str) -> AlexNet:
    with torch.device("meta"):
        model = create("alexnet", num_classes=1000, **options).eval()
    assert isinstance(model, AlexNet)
    return model


def test_the_papers_form() -> None:
    model = a_network(style="paper")
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [96, 256, 384, 384, 256]
    assert [m.groups for m in convolutions] == [1, 2, 1, 2, 2]
    # The paper says 60 million; both figures are those of the network as Caffe's reference has it.
    assert sum(p.numel() for p in model.parameters()) == 60_965_224
    assert count_macs(model, (1, 3, 224, 224)) == 724_406_816


def test_both_forms_have_the_papers_sizes_at_224() -> None:
    for style in ("torchvision", "paper"):
        model, picture = a_network(style=style), torch.empty(1, 3, 224, 224, device="meta")
        assert model.features[0](picture).shape[2:] == (55, 55)
        assert model.forward_features(picture).shape == (1, 256, 6, 6)


def test_local_response_norm_is_section_3_3() -> None:
    norms = [m for m in a_network(style="paper").modules() if isinstance(m, nn.LocalResponseNorm)]
    assert len(norms) == 2
    a = torch.rand(1, 7, 2, 2) * 100
    sums = torch.stack([a[:, max(0, i - 2) : i + 3].square().sum(1) for i in range(7)], dim=1)
    for norm in norms:
        torch.testing.assert_close(norm(a), a / (2 + 1e-4 * sums) ** 0.75)


def test_hidden_layers_belong_to_the_embedding_and_drop_out_while_training() -> None:
    torch.manual_seed(0)
    model, feature_map = create("alexnet", num_classes=2, stem="small"), torch.rand(4, 256, 3, 3)
    with torch.no_grad():
        assert not torch.equal(model.train().embed(feature_map), model.embed(feature_map))
        found = model.eval().embed(feature_map)
    assert torch.equal(found, model.embed(feature_map))
    assert found.shape == (4, 512)
    assert (found >= 0).all()  # what leaves the second hidden layer's ReLU
