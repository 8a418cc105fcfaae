"""Which graphs take a batch in slices, and how much of the cache a picture needs in them.

A whole batch reads the weights once; slices of it read them once each, and keep what layers pass on in the processor's
cache instead of sending it through memory. So slices pay where a picture's activations outweigh the weights: in the
MobileNets, EfficientNet and googlenet_small at their own size, which bench/zoo.py measures, and nowhere else in the zoo
(LOG.md, "Batches in slices").
"""

from __future__ import annotations

from sightline.anatomy.graph import peak_activations
from sightline.anatomy.macs import layers_of
from sightline.anatomy.trace import FLOAT32
from sightline.data.preprocess import Preprocess
from sightline.models import Network


def bytes_a_picture(network: Network, preprocess: Preprocess) -> int | None:
    """The most bytes that one picture's activations take at any moment; None where whole batches are faster."""
    picture = (preprocess.channels, preprocess.size, preprocess.size)
    layers = layers_of(network, (1, *picture))
    weights = sum(layer.weights for layer in layers)
    passed_on = sum(layer.activations for layer in layers if layer.weights)
    if weights >= passed_on:
        return None
    channels, height, width = picture
    return FLOAT32 * peak_activations(layers, channels * height * width)
