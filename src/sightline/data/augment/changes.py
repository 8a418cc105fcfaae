"""Distortions that change what is seen where it is: light, colour, sharpness, and what is hidden."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import torch
from kornia.enhance import (
    adjust_brightness_accumulative,
    adjust_contrast_with_mean_subtraction,
    adjust_hue,
    adjust_saturation_with_gray_subtraction,
)
from kornia.filters import gaussian_blur2d
from pydantic import Field
from torch import Tensor

from sightline.data.augment.distortion import Chance, Change, Range, Ratio, Share, drawn_sides, tensor

# Of the covariance of red, green and blue, in [0, 1], over ImageNet's training pictures: the eigenvalues, and the
# eigenvectors as columns. As published with fb.resnet.torch (datasets/imagenet.lua), Gross and Wilber 2016.
EIGENVALUES = (0.2175, 0.0188, 0.0045)
EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))

Sigma = Annotated[float, Field(ge=0, le=0.1)]


class Brightness(Change):
    """All values times one factor."""

    name = "brightness"
    after = "Howard 2013, section 2"
    shown = ({"factor": 0.0}, {"factor": 0.2}, {"factor": 0.4}, {"factor": 0.8})

    factor: Annotated[float, Field(ge=0, le=1, description="1 more or less by at most so much")] = 0.4

    def changed(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        return adjust_brightness_accumulative(images, around_one(self.factor, images, rng))


class Contrast(Change):
    """The distance of all values from the picture's mean grey times one factor."""

    name = "contrast"
    after = "Howard 2013, section 2"
    shown = ({"factor": 0.0}, {"factor": 0.2}, {"factor": 0.4}, {"factor": 0.8})

    factor: Annotated[float, Field(ge=0, le=1, description="1 more or less by at most so much")] = 0.4

    def changed(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        return adjust_contrast_with_mean_subtraction(images, around_one(self.factor, images, rng))


class Saturation(Change):
    """The distance of all colours from their grey times one factor. Grey pictures have none."""

    name = "saturation"
    after = "Howard 2013, section 2"
    shown = ({"factor": 0.0}, {"factor": 0.2}, {"factor": 0.4}, {"factor": 0.8})
    needs_colour = True

    factor: Annotated[float, Field(ge=0, le=1, description="1 more or less by at most so much")] = 0.4

    def changed(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        return adjust_saturation_with_gray_subtraction(images, around_one(self.factor, images, rng))


class Hue(Change):
    """All colours turned around the colour circle. Grey pictures have none."""

    name = "hue"
    after = "Szegedy et al. 2014, section 6 (photometric distortions, after Howard 2013)"
    shown = ({"turn": 0.0}, {"turn": 0.05}, {"turn": 0.1}, {"turn": 0.5})
    needs_colour = True

    turn: Annotated[float, Field(ge=0, le=0.5, description="at most so far, a share of the circle")] = 0.05

    def changed(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        turn = rng.uniform(-self.turn, self.turn, len(images))
        return adjust_hue(images, tensor(2 * np.pi * turn, images))


class PCAColour(Change):
    """AlexNet's colour shift: along the axes in which the colours of photographs vary, as far as they do.

    The axes are ImageNet's, so that an entry means the same whatever the pictures. Grey pictures have none.
    """

    name = "pca_colour"
    after = "Krizhevsky et al. 2012, section 4.1"
    shown = ({"std": 0.0}, {"std": 0.1}, {"std": 0.5}, {"std": 1.0})
    needs_colour = True

    std: Annotated[float, Field(ge=0, le=2, description="standard deviation of the factor of each eigenvalue")] = 0.1

    def changed(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        alpha = rng.normal(0, self.std, (len(images), 3))
        shift = (alpha * EIGENVALUES) @ np.transpose(EIGENVECTORS)
        return images + tensor(shift, images)[:, :, None, None]


class Blur(Change):
    """Out of focus: a Gaussian filter."""

    name = "blur"
    after = "Chen et al. 2020 (SimCLR), appendix A"
    shown = ({"sigma": [0.0, 0.0]}, {"sigma": [0.01, 0.01]}, {"sigma": [0.02, 0.02]}, {"sigma": [0.05, 0.05]})

    sigma: Annotated[Range[Sigma], Field(description="of the filter, a share of the side")] = (0.0, 0.01)
    p: Chance = 0.5

    def changed(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        size = images.shape[-1]
        sigma = size * rng.uniform(*self.sigma, len(images))
        reach = min(math.ceil(3 * size * self.sigma[1]), size - 1)
        both = tensor(np.maximum(sigma, 1e-3), images)[:, None].expand(-1, 2)  # kornia's filter has no width of nothing
        return gaussian_blur2d(images, 2 * reach + 1, both)


class Erasing(Change):
    """A box somewhere in the picture filled with noise."""

    name = "erasing"
    after = "Zhong et al. 2017, section 3"
    shown = ({"area": [0.0, 0.0]}, {"area": [0.05, 0.05]}, {"area": [0.15, 0.15]}, {"area": [0.33, 0.33]})

    area: Annotated[Range[Share], Field(description="of the box, a share of the picture's")] = (0.02, 0.33)
    aspect: Annotated[Range[Ratio], Field(description="width by height of the box")] = (0.3, 3.3)
    p: Chance = 0.25

    def changed(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        size = images.shape[-1]
        sides = drawn_sides(self.area, self.aspect, len(images), rng).T
        pixels = np.minimum(size, np.rint(size * sides)).astype(int)
        noise = rng.integers(0, 256, images.shape, np.uint8)
        inside = boxes(rng.integers(0, size - pixels, endpoint=True), pixels, size)
        return torch.where(torch.from_numpy(inside).to(images.device), tensor(noise, images) / 255, images)


def boxes(corners: np.ndarray, sides: np.ndarray, size: int) -> np.ndarray:
    """Whether a pixel lies in the box of its picture, bool [N, 1, size, size].

    `corners` (the first pixels) and `sides` are int [2, N], x and y.
    """
    line = np.arange(size)
    x, y = (
        (line >= first[:, None]) & (line < (first + side)[:, None]) for first, side in zip(corners, sides, strict=True)
    )
    return (y[:, :, None] & x[:, None, :])[:, None]


def around_one(most: float, images: Tensor, rng: np.random.Generator) -> Tensor:
    """A factor for each picture, from 1 - most to 1 + most."""
    return tensor(rng.uniform(1 - most, 1 + most, len(images)), images)
