"""How many pictures of a batch a graph should take at once.

A whole batch reads the weights once; slices of it read them once each, and keep what layers pass on in the processor's
cache instead of sending it through memory. So slices pay where a picture's activations outweigh the weights, as in the
MobileNets and EfficientNets at their own size, and not in a ResNet-50, VGG or AlexNet (LOG.md, "Batches in slices").
"""

from __future__ import annotations

from sightline.anatomy.graph import peak_activations
from sightline.anatomy.macs import layers_of
from sightline.data.preprocess import Preprocess
from sightline.models import Network

FLOAT32 = 4  # bytes
CACHE = 24 * 2**20  # bytes of the last cache that a processor of today has for itself


def pictures_at_once(network: Network, preprocess: Preprocess) -> int | None:
    """Pictures whose activations fit the cache, one at least; None where whole batches are faster."""
    picture = (preprocess.channels, preprocess.size, preprocess.size)
    layers = layers_of(network, (1, *picture))
    weights = sum(layer.weights for layer in layers)
    passed_on = sum(layer.activations for layer in layers if layer.weights)
    if weights >= passed_on:
        return None
    channels, height, width = picture
    return max(1, CACHE // (FLOAT32 * peak_activations(layers, channels * height * width)))
