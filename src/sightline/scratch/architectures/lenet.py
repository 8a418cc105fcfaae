"""A LeNet: two convolutions with pooling and two linear layers, after LeCun et al. 1998, with ReLU and max pooling."""

from __future__ import annotations

from sightline.scratch.layers import Convolution, Flatten, Linear, MaxPool, Relu
from sightline.scratch.network import Network

HIDDEN = 128


def lenet(classes: int, channels: int, size: int) -> Network:
    """16 and 32 kernels of 5x5, each with 2x2 pooling, 128 hidden units; for `size` x `size` pictures (28: MNIST)."""
    network = Network()
    network.add("conv1", Convolution(channels, 16, 5))
    network.add("pool1", MaxPool(2))
    network.add("relu1", Relu())  # after pooling: the largest is the same, of a quarter of the numbers
    network.add("conv2", Convolution(16, 32, 5))
    network.add("pool2", MaxPool(2))
    network.add("relu2", Relu())
    network.add("flatten", Flatten())
    places = ((size - 4) // 2 - 4) // 2
    network.add("fc1", Linear(32 * places * places, HIDDEN))
    network.add("relu3", Relu())
    network.add("fc2", Linear(HIDDEN, classes))
    return network
