"""Preprocess: the one way a picture becomes numbers, for training, measuring, searching and serving alike.

The geometry (resize, crop) is Pillow's and happens here; the colour normalisation (mean, std) travels along but is
applied inside the exported graph, so a graph takes plain uint8 pixels and nobody can normalise twice or forget to.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image

from sightline.core.errors import UserError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
MODES = {1: "L", 3: "RGB"}


@dataclass(frozen=True)
class Preprocess:
    """How a picture becomes uint8 [size, size, channels], and the mean and std (of [0, 1] values) the network applies.

    `resize="shorter"` keeps the central square; `"squash"` keeps all, whatever its shape. Of that, the central
    `crop_frac` of each side is scaled to `size`: 224 / 256 is what "shorter side to 256, crop 224" keeps.
    """

    size: int
    channels: int = 3
    resize: Literal["shorter", "squash"] = "shorter"
    interpolation: str = "bilinear"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    crop_frac: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.size <= 4096:
            raise UserError(f"image size {self.size} is out of range: choose 1 to 4096 pixels")
        if self.channels not in MODES:
            raise UserError(f"{self.channels} channels: pictures have 1 (grey) or 3 (colour)")
        if self.resize not in ("shorter", "squash"):
            raise UserError(f'unknown resize "{self.resize}": use shorter or squash')
        if self.interpolation not in INTERPOLATIONS:
            raise UserError(f'unknown interpolation "{self.interpolation}": use one of {", ".join(INTERPOLATIONS)}')
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise UserError(f"mean and std need {self.channels} numbers each, one a channel")
        if min(self.std) <= 0:
            raise UserError("std must be above 0 in every channel")
        if not 0 < self.crop_frac <= 1:
            raise UserError(f"crop_frac {self.crop_frac:g} is out of range: it is the kept part of a side, up to 1")

    def __call__(self, image: Image.Image) -> np.ndarray:
        """The picture as uint8 [size, size, channels]."""
        image = image.convert(MODES[self.channels])
        if image.size != (self.size, self.size) or self.crop_frac < 1:
            resampling = INTERPOLATIONS[self.interpolation]
            image = image.resize((self.size, self.size), resampling, box=self.kept(*image.size))
        return np.asarray(image, dtype=np.uint8).reshape(self.size, self.size, self.channels)

    def kept(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the pixels that stay: one resampling of just these."""
        short = min(width, height)
        sides = (short, short) if self.resize == "shorter" else (width, height)
        wide, high = (side * self.crop_frac for side in sides)
        left, top = (width - wide) / 2, (height - high) / 2
        return left, top, left + wide, top + high

    def key(self) -> str:
        """A short hash of what decides the pixels; mean and std do not."""
        geometry: list[Any] = [self.size, self.channels, self.resize, self.interpolation]
        if self.crop_frac < 1:
            geometry.append(self.crop_frac)
        return hashlib.sha256(json.dumps(geometry).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it; a `crop_frac` of 1, which leaves everything in, is left out."""
        document = {**asdict(self), "mean": list(self.mean), "std": list(self.std)}
        return {key: value for key, value in document.items() if (key, value) != ("crop_frac", 1.0)}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Preprocess:
        """From `to_dict`'s form; UserError when a key is missing, unknown or of the wrong kind."""
        try:
            return cls(**{**document, "mean": tuple(document["mean"]), "std": tuple(document["std"])})
        except (TypeError, KeyError) as error:
            raise UserError(f"damaged preprocess description: {error}") from None
