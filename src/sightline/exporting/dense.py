"""Fully convolutional networks: one slides over pictures larger than its own, its scores averaged over all places.

Sermanet et al., "OverFeat" (2013), section 3.3, and Simonyan and Zisserman, "Very Deep Convolutional Networks" (2014),
section 3.2. The last layer is linear, so the mean of its scores is its score of the mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sightline.anatomy.macs import count_macs
from sightline.bundle import WEIGHTS, Bundle
from sightline.core.errors import UserError, named
from sightline.data.preprocess import Preprocess
from sightline.exporting.onnx import answers, check_parity, to_onnx
from sightline.models import Network, check_size, create
from sightline.models.blank import blank
from sightline.models.layers import Hidden
from sightline.models.weights import load_weights
from sightline.runtime import Session

HOW = ("style", "stem")  # what of a Bundle's card a network is made by, beside its name


class Dense(Network):
    """`network`, which takes pictures [N, channels, size, size], for larger ones; its own modules, not copies.

    Where global pooling and the last layer are all that follows the feature map, any size will do. The hidden layers
    of AlexNet and VGG become convolutions, the first with a kernel of the size their own feature map has.
    """

    def __init__(self, network: Network, channels: int, size: int) -> None:
        super().__init__()
        self.network = network
        self.hidden = _sliding(network, channels, size) if isinstance(network, Hidden) else None

    @property
    def trunk(self) -> Sequence[nn.Module]:
        """The network's own."""
        return self.network.trunk

    def embed(self, feature_map: Tensor) -> Tensor:
        """The mean over all places of what enters the last linear layer, [N, D]."""
        return self.hidden(feature_map).mean((2, 3)) if self.hidden else self.network.embed(feature_map)

    @property
    def head(self) -> nn.Linear:
        """The network's own."""
        return self.network.head


def check_dense(bundle: Bundle, scale: int) -> None:
    """UserError when the network of `bundle` is none of the zoo, or pictures of `scale` x `scale` are too small."""
    if not all(key in bundle.card for key in HOW):
        raise UserError(f"{named(bundle.path)} is no single network of the zoo, which dense views need: give one")
    check_size(bundle.arch, scale, **{key: bundle.card[key] for key in HOW})
    with blank():
        hidden = isinstance(_create(bundle), Hidden)
    own = bundle.preprocess.size
    if hidden and scale < own:
        raise UserError(f"scale {scale} is too small: the hidden layers of {named(bundle.arch)} need {own} pixels")


def dense_graph(bundle: Bundle, preprocess: Preprocess, images: np.ndarray) -> tuple[bytes, int]:
    """The network of `bundle` for pictures as `preprocess` makes them, as ONNX, and its multiply-adds a picture.

    It is compared with PyTorch on such `images`, uint8 [n, S, S, channels]; `check_dense` says where this cannot be.
    """
    network = _create(bundle)
    load_weights(network, bundle.path / WEIGHTS)
    channels, size = preprocess.channels, preprocess.size
    dense = Dense(network.eval(), channels, bundle.preprocess.size).eval()
    graph = to_onnx(dense, preprocess)
    check_parity(Session(graph).run(images), answers(dense, preprocess, images))
    return graph, count_macs(dense, (1, channels, size, size))


def _create(bundle: Bundle) -> Network:
    """The network of `bundle`, freshly initialised."""
    how = {key: bundle.card[key] for key in HOW}
    return create(bundle.arch, num_classes=len(bundle.classes), in_channels=bundle.preprocess.channels, **how)


def _sliding(network: Hidden, channels: int, size: int) -> nn.Sequential:
    """Pooling and hidden layers of `network` as convolutions."""
    with torch.inference_mode():
        places = network.forward_features(torch.zeros(1, channels, size, size)).shape[-1]
        pooled = network.avgpool(torch.zeros(1, 1, places, places)).shape[-1]
    layers: list[nn.Module] = []
    for layer in list(network.classifier)[:-1]:
        if isinstance(layer, nn.Linear):
            first = not any(isinstance(before, nn.Conv2d) for before in layers)
            layer = _convolution(layer, pooled, places) if first else _convolution(layer, 1, 1)
        layers.append(layer)
    return nn.Sequential(*layers)


def _convolution(layer: nn.Linear, pooled: int, places: int) -> nn.Conv2d:
    """`layer`, which takes `pooled` x `pooled` places averaged from `places` x `places`, as a convolution of those.

    Averaging is linear too: it becomes a part of the kernel.
    """
    averaging = functional.adaptive_avg_pool1d(torch.eye(places), pooled)  # [places, pooled]
    weight = layer.weight.detach().reshape(layer.out_features, -1, pooled, pooled)
    with blank():
        convolution = nn.Conv2d(weight.shape[1], layer.out_features, places)
    convolution.weight = nn.Parameter(torch.einsum("kcij,ai,bj->kcab", weight, averaging, averaging))
    convolution.bias = layer.bias
    return convolution
