"""RandAugment: a few operations drawn for each picture from a list of fourteen, all at one magnitude.

Cubuk et al., "RandAugment: Practical automated data augmentation with a reduced search space" (2019), section 3; what
a magnitude means to each operation is AutoAugment's (Cubuk et al. 2018, Table 6), 30 being the most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
import torch
from kornia.enhance import (
    adjust_brightness_accumulative,
    adjust_contrast_with_mean_subtraction,
    adjust_saturation_with_gray_subtraction,
    equalize,
    normalize_min_max,
    posterize,
    sharpness,
    solarize,
)
from pydantic import Field
from torch import Tensor

from sightline.data.augment.distortion import Change
from sightline.data.augment.movements import grid, resampled

MOST = 30
Operation = Callable[[Tensor, Tensor], Tensor]  # of pictures [n, C, S, S] and their magnitudes [n] in [-1, 1]


def _linear(images: Tensor, xx: Tensor, xy: Tensor, yx: Tensor, yy: Tensor) -> Tensor:
    points = grid(len(images), images.shape[-1], images)
    matrix = torch.stack([torch.stack([xx, yx], -1), torch.stack([xy, yy], -1)], 1)
    return resampled(images, points @ matrix)


def _rotate(images: Tensor, m: Tensor) -> Tensor:
    angle = torch.deg2rad(30 * m)
    return _linear(images, angle.cos(), angle.sin(), -angle.sin(), angle.cos())


def _shear_x(images: Tensor, m: Tensor) -> Tensor:
    return _linear(images, torch.ones_like(m), 0.3 * m, torch.zeros_like(m), torch.ones_like(m))


def _shear_y(images: Tensor, m: Tensor) -> Tensor:
    return _linear(images, torch.ones_like(m), torch.zeros_like(m), 0.3 * m, torch.ones_like(m))


def _translate(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    points = grid(len(images), images.shape[-1], images)
    return resampled(images, points + 2 * 0.45 * torch.stack([x, y], -1)[:, None])


def _sharpness(images: Tensor, m: Tensor) -> Tensor:
    return sharpness(images, 1 + 0.9 * m) if images.shape[-1] >= 3 else images


OPERATIONS: dict[str, Operation] = {
    "identity": lambda images, m: images,
    "auto contrast": lambda images, m: normalize_min_max(images),
    "equalize": lambda images, m: equalize(images),
    "rotate": _rotate,
    "solarize": lambda images, m: solarize(images, 1 + 1e-3 - m.abs()),
    "saturation": lambda images, m: adjust_saturation_with_gray_subtraction(images, 1 + 0.9 * m),
    "posterize": lambda images, m: posterize(images, 8 - (4 * m.abs()).round().int()),
    "contrast": lambda images, m: adjust_contrast_with_mean_subtraction(images, 1 + 0.9 * m),
    "brightness": lambda images, m: adjust_brightness_accumulative(images, 1 + 0.9 * m),
    "sharpness": _sharpness,
    "shear x": _shear_x,
    "shear y": _shear_y,
    "translate x": lambda images, m: _translate(images, m, torch.zeros_like(m)),
    "translate y": lambda images, m: _translate(images, torch.zeros_like(m), m),
}


class RandAugment(Change):
    """A few operations drawn for each picture, all at one magnitude, to either side.

    They are: identity, auto contrast, equalize, rotate, solarize, saturation (nothing to grey pictures), posterize,
    contrast, brightness, sharpness, shear and translate along x and y.
    """

    name = "randaugment"
    after = "Cubuk et al. 2019, section 3"
    shown = ({"count": 0}, {"magnitude": 3.0}, {"magnitude": 9.0}, {"magnitude": 20.0})

    count: Annotated[int, Field(ge=0, le=8, description="operations on a picture, one after the other")] = 2
    magnitude: Annotated[float, Field(ge=0, le=MOST, description="of all of them, up to 30")] = 9.0

    def changed(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        for _ in range(self.count):
            drawn = rng.integers(len(OPERATIONS), size=len(images))
            magnitude = rng.choice([-1, 1], len(images)) * self.magnitude / MOST
            images = self._round(images, drawn, magnitude.astype(np.float32))
        return images

    def _round(self, images: Tensor, drawn: np.ndarray, magnitude: np.ndarray) -> Tensor:
        """The pictures after the operations numbered `drawn` [N]."""
        images = images.clone()
        for number, operation in enumerate(OPERATIONS.values()):
            chosen = np.flatnonzero(drawn == number)
            if len(chosen):
                places = torch.from_numpy(chosen).to(images.device)
                level = torch.from_numpy(magnitude[chosen]).to(images.device)
                images[places] = operation(images[places], level).clamp(0, 1)
        return images
