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

    `resize="shorter"` scales the shorter side to `size` and takes the centre; `"squash"` scales both sides to `size`.
    """

    size: int
    channels: int = 3
    resize: Literal["shorter", "squash"] = "shorter"
    interpolation: str = "bilinear"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

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

    def __call__(self, image: Image.Image) -> np.ndarray:
        """The picture as uint8 [size, size, channels]."""
        image = image.convert(MODES[self.channels])
        resampling = INTERPOLATIONS[self.interpolation]
        if self.resize == "squash":
            image = image.resize((self.size, self.size), resampling)
        else:
            image = self._centre(image, resampling)
        return np.asarray(image, dtype=np.uint8).reshape(self.size, self.size, self.channels)

    def _centre(self, image: Image.Image, resampling: Image.Resampling) -> Image.Image:
        """Shorter side to `size`, then the central square: one resampling of just the pixels that stay."""
        if image.size == (self.size, self.size):
            return image
        short = min(image.size)
        left, top = ((side - short) / 2 for side in image.size)
        return image.resize((self.size, self.size), resampling, box=(left, top, left + short, top + short))

    def key(self) -> str:
        """A short hash of what decides the pixels; mean and std do not."""
        geometry = [self.size, self.channels, self.resize, self.interpolation]
        return hashlib.sha256(json.dumps(geometry).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Preprocess:
        """From `to_dict`'s form; UserError when a key is missing, unknown or of the wrong kind."""
        try:
            return cls(**{**document, "mean": tuple(document["mean"]), "std": tuple(document["std"])})
        except (TypeError, KeyError) as error:
            raise UserError(f"damaged preprocess description: {error}") from None
