"""Fully convolutional networks: the same as sliding, and the network itself at its own size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sightline import api
from sightline.core.errors import UserError
from sightline.data.preprocess import Preprocess
from sightline.exporting.combined import combine
from sightline.exporting.dense import Dense, check_dense
from sightline.models import Network, create
from sightline.models.layers import Hidden
from tests.weights import write_weights


class Unpadded(Hidden):
    """Two convolutions without padding, one halving: 9 pixels end at 3x3 places, which are averaged to `places`."""

    def __init__(self, places: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3, stride=2), nn.ReLU())
        self.avgpool = nn.AdaptiveAvgPool2d(places)
        self.classifier = nn.Sequential(
            nn.Dropout(0.5), nn.Linear(5 * places**2, 6), nn.ReLU(), nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 4)
        )


class Pooled(Network):
    """The same convolutions, then the mean over all places; 5 pixels end at one place."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.fc = Unpadded(1).features, nn.Linear(5, 4)

    @property
    def trunk(self) -> Sequence[nn.Module]:
        return list(self.features)

    def embed(self, feature_map: Tensor) -> Tensor:
        return feature_map.mean((2, 3))

    @property
    def head(self) -> nn.Linear:
        return self.fc


def slid(network: Network, x: Tensor, size: int) -> Tensor:
    """The mean logits of `network` over every window of `size` pixels, two pixels apart."""
    starts = range(0, x.shape[-1] - size + 1, 2)
    return torch.stack([network(x[:, :, i : i + size, j : j + size]) for i in starts for j in starts]).mean(0)


@pytest.mark.parametrize(
    ("network", "size"), [(Unpadded(3), 9), (Unpadded(2), 9), (Unpadded(1), 9), (Unpadded(5), 9), (Pooled(), 5)]
)
def test_dense_equals_sliding_for_a_network_without_padding(network: Network, size: int) -> None:
    network.eval()
    dense = Dense(network, 3, size).eval()
    for larger in (size, size + 2, size + 6):
        x = torch.randn(2, 3, larger, larger)
        torch.testing.assert_close(dense(x), slid(network, x, size), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "stem", "size"), [("alexnet", "small", 32), ("vgg11", "small", 40), ("resnet20", "small", 32)]
)
def test_at_its_own_size_it_is_the_network(name: str, stem: str, size: int) -> None:
    network = create(name, num_classes=3, stem=stem).eval()
    x = torch.randn(2, 3, size, size)
    torch.testing.assert_close(Dense(network, 3, size).eval()(x), network(x), atol=1e-4, rtol=1e-4)


def test_its_graph_shows_the_network_the_whole_picture(tmp_path: Path) -> None:
    said = {"arch": "resnet20", "preprocess": {"resize": 32}}
    bundle = api.export(write_weights(tmp_path / "mine.pth", "resnet20", said, settled=32), out=tmp_path / "b")
    dense = combine([bundle], views="dense", scales=[32, 40])
    assert dense.bundle.preprocess == Preprocess(40)
    assert dense.bundle.card["macs"] > bundle.card["macs"] * (1 + 1.5)
    alone = combine([bundle], views="dense", scales=[40])
    at_32 = combine([bundle], views="1", scales=[40]).bundle  # the central 32 of 40
    images = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)
    assert alone.bundle.run(images).feature_map.shape == (3, 64, 10, 10)
    assert not np.allclose(alone.bundle.run(images).logits, at_32.run(images).logits, atol=0.01)
    saved = dense.save(tmp_path / "dense", {})
    np.testing.assert_allclose(saved.run(images).logits, dense.bundle.run(images).logits, atol=1e-4)


def test_what_cannot_slide_is_refused(tmp_path: Path) -> None:
    said = {"arch": "alexnet", "stem": "small", "preprocess": {"resize": 32}}
    alexnet = api.export(write_weights(tmp_path / "a.pth", "alexnet", said, stem="small"), out=tmp_path / "alexnet")
    check_dense(alexnet, 32)
    with pytest.raises(UserError, match="scale 30 is too small: the hidden layers of alexnet need 32 pixels"):
        check_dense(alexnet, 30)
    with pytest.raises(UserError, match="pictures of 4 pixels are too small for alexnet"):
        check_dense(alexnet, 4)
    mirrored = combine([alexnet], views="2").save(tmp_path / "mirrored", {})
    with pytest.raises(UserError, match="no single network of the zoo"):
        check_dense(mirrored, 40)
