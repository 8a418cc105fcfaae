"""What every distortion is: an entry of a list, with its ranges, and what it does to a batch.

A distortion draws from a generator of its own (NumPy's, which no other thread can disturb) and from nothing else, and
works on the whole batch, on whatever device that is. Lengths are shares of the picture's side, so that an entry means
the same at 32 and at 224 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, TypeVar

import numpy as np
import torch
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from torch import Tensor


def _pair(value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("must be two numbers, [least, most]")
    return tuple(value)


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError(f"must be [least, most], and {pair[0]:g} is above {pair[1]:g}")
    return pair


Number = TypeVar("Number")
Range = Annotated[tuple[Number, Number], BeforeValidator(_pair), AfterValidator(_rising)]
Share = Annotated[float, Field(ge=0, le=1)]
Ratio = Annotated[float, Field(ge=0.1, le=10)]
Chance = Annotated[float, Field(ge=0, le=1, description="share of the pictures it befalls")]


class Distortion(BaseModel):
    """One entry. `shown` are settings from none to much, for a page that shows them; the first changes nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    after: ClassVar[str]  # whose idea it is
    shown: ClassVar[Sequence[Mapping[str, Any]]]
    needs_colour: ClassVar[bool] = False

    p: Chance = 1.0

    def to_chosen(self, x: Tensor, rng: np.random.Generator, work: Callable[[Tensor], Tensor]) -> Tensor:
        """`x` [N, ...] with `work` done on the share p of its rows that `rng` draws; the others stay."""
        chosen = np.flatnonzero(rng.random(len(x)) < self.p)
        if len(chosen) == len(x):
            return work(x)
        if not len(chosen):
            return x
        places = torch.from_numpy(chosen).to(x.device)
        return x.index_copy(0, places, work(x[places]))


class Movement(Distortion):
    """Moves what is seen. Several in a row are one resampling: what each says of the points is joined."""

    whole_pixels: ClassVar[bool] = False  # rows go to rows and columns to columns, without anything between pixels

    def sources(self, points: Tensor, size: int, rng: np.random.Generator) -> Tensor:
        """Where that lies in the picture which comes to lie at `points`: both [N, P, 2], x and y.

        The picture, `size` pixels wide and high, reaches from -1 to 1 both ways.
        """
        raise NotImplementedError

    def befall(self, points: Tensor, size: int, rng: np.random.Generator) -> Tensor:
        """The same, of the pictures that it befalls."""
        return self.to_chosen(points, rng, lambda chosen: self.sources(chosen, size, rng))


class Change(Distortion):
    """Changes what is seen where it is."""

    def changed(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """The pictures [N, C, S, S], values in [0, 1], changed; what leaves that range is cut off later."""
        raise NotImplementedError

    def befall(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Pictures uint8 [N, C, S, S], those that it befalls changed."""
        return self.to_chosen(images, rng, lambda chosen: as_bytes(self.changed(as_floats(chosen), rng)))


class Mixing(Distortion):
    """Mixes each picture with another of the batch, and their labels alike."""

    def mixed(self, images: Tensor, targets: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Pictures uint8 [N, C, S, S] and the shares of their classes [N, classes], mixed."""
        raise NotImplementedError


def drawn_sides(
    area: tuple[float, float], aspect: tuple[float, float], count: int, rng: np.random.Generator
) -> np.ndarray:
    """Width and height [count, 2] of boxes, shares of the side; an aspect is as likely as its inverse."""
    areas = rng.uniform(*area, count)
    aspects = np.exp(rng.uniform(math.log(aspect[0]), math.log(aspect[1]), count))
    return np.sqrt(np.stack([areas * aspects, areas / aspects], -1))


def tensor(values: np.ndarray, like: Tensor) -> Tensor:
    """What was drawn, as float32 on the device of `like`."""
    return torch.from_numpy(np.asarray(values, np.float32)).to(like.device)


def as_floats(images: Tensor) -> Tensor:
    """uint8 as floats in [0, 1]."""
    return images.float().div_(255)


def as_bytes(images: Tensor) -> Tensor:
    """Floats, in [0, 1] or cut off there, as the nearest uint8."""
    return images.mul(255).round_().clamp_(0, 255).to(torch.uint8)
