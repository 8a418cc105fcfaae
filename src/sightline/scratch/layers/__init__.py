"""Layers: the pure functions of `functional` with what they learn; each in the file of its kind."""

from sightline.scratch.layers.joints import Add, Concatenate
from sightline.scratch.layers.layer import Layer
from sightline.scratch.layers.normalisation import BatchNorm, LocalResponseNorm
from sightline.scratch.layers.pointwise import Dropout, Relu
from sightline.scratch.layers.pooling import AveragePool, GlobalPool, MaxPool
from sightline.scratch.layers.shape import Flatten, Pad, SamePad
from sightline.scratch.layers.weighted import Convolution, Linear

__all__ = [
    "Add",
    "AveragePool",
    "BatchNorm",
    "Concatenate",
    "Convolution",
    "Dropout",
    "Flatten",
    "GlobalPool",
    "Layer",
    "Linear",
    "LocalResponseNorm",
    "MaxPool",
    "Pad",
    "Relu",
    "SamePad",
]
