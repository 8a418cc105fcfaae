"""Distortions that move what is seen: mirrored, cropped, turned, sheared, seen from aside, warped.

Whatever comes from outside the picture is its reflection at the border; or black, where a point is no number (NaN).
"""

from __future__ import annotations

import functools
from typing import Annotated, Literal

import numpy as np
import torch
from kornia.geometry import get_perspective_transform
from pydantic import Field
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from sightline.data.augment.distortion import Chance, Movement, Range, Ratio, drawn_sides, tensor

FINE = 64  # nodes a side, at most, at which a warp is kept; between them it is linear
CROP = 224  # the crop that a shorter side is stated for
Part = Annotated[float, Field(ge=0.01, le=1)]
Shorter = Annotated[float, Field(ge=CROP, le=10 * CROP)]


def grid(count: int, size: int, like: Tensor) -> Tensor:
    """The centres of all pixels, row by row, of `count` pictures: [count, size * size, 2]."""
    line = pixel_centres(size, like)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], -1).view(1, -1, 2).expand(count, -1, -1)


def pixel_centres(size: int, like: Tensor) -> Tensor:
    """Where the centres of `size` pixels lie between -1 and 1."""
    return (2 * torch.arange(size, device=like.device, dtype=torch.float32) + 1) / size - 1


def resampled(images: Tensor, points: Tensor) -> Tensor:
    """The pictures, floats [N, C, S, S], as seen at `points` [N, S * S, 2]: linear between pixels."""
    size = images.shape[-1]
    places = (points.nan_to_num() * (size / max(1, size - 1))).view(len(images), size, size, 2)
    seen = grid_sample(images.contiguous(), places, mode="bilinear", padding_mode="reflection", align_corners=True)
    black = points.isnan().any(-1).view(len(images), 1, size, size)
    return seen.masked_fill_(black, 0) if black.any() else seen


def gathered(images: Tensor, lines: Tensor) -> Tensor:
    """The pictures [N, C, S, S], of any type, with columns and rows taken from `lines` [N, S, 2]: x, y of the k-th."""
    size = images.shape[-1]
    pixels = ((lines.nan_to_num() + 1) * (size / 2) - 0.5).round().long()
    around = pixels.remainder(max(1, 2 * size - 2))
    columns, rows = torch.minimum(around, 2 * size - 2 - around).unbind(-1)
    picture = torch.arange(len(images), device=images.device)[:, None, None]
    moved = images.permute(0, 2, 3, 1)[picture, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    black_columns, black_rows = lines.isnan()[:, None].unbind(-1)
    black = black_rows[..., None] | black_columns[:, :, None]
    return moved.masked_fill_(black, 0) if black.any() else moved


class Mirror(Movement):
    """Left and right exchanged."""

    name = "mirror"
    after = "Krizhevsky et al. 2012, section 4.1"
    shown = ({"p": 0.0}, {"p": 0.5}, {"p": 1.0})
    whole_pixels = True

    p: Chance = 0.5

    def sources(self, points: Tensor, size: int, rng: np.random.Generator) -> Tensor:
        return points * points.new_tensor([-1.0, 1.0])


class PaddedCrop(Movement):
    """Padded on every side with reflections or black, and a window of the old size cut out: a shift by whole pixels."""

    name = "padded_crop"
    after = "He et al. 2015, section 4.2 (4 pixels of 32, an eighth; black)"
    shown = ({"margin": 0.0}, {"margin": 0.0625}, {"margin": 0.125}, {"margin": 0.25})
    whole_pixels = True

    margin: Annotated[float, Field(ge=0, le=0.5, description="padding, a share of the side")] = 0.125
    fill: Annotated[Literal["reflection", "black"], Field(description="what it is padded with")] = "reflection"

    def sources(self, points: Tensor, size: int, rng: np.random.Generator) -> Tensor:
        most = int(self.margin * size)
        shift = rng.integers(-most, most, (len(points), 1, 2), endpoint=True)
        moved = points + tensor(shift * 2 / size, points)
        return moved.masked_fill(moved.abs() > 1, torch.nan) if self.fill == "black" else moved


class RandomResizedCrop(Movement):
    """A part of any size and shape, scaled to the whole; a side that would be longer than the picture is cut to it."""

    name = "random_resized_crop"
    after = "Szegedy et al. 2014, section 6"
    shown = (
        {"area": [1.0, 1.0], "aspect": [1.0, 1.0]},
        {"area": [0.6, 1.0]},
        {"area": [0.25, 1.0]},
        {"area": [0.08, 1.0]},
    )

    area: Annotated[Range[Part], Field(description="of the part, a share of the picture's")] = (0.08, 1.0)
    aspect: Annotated[Range[Ratio], Field(description="width by height of the part")] = (0.75, 1.333)

    def sources(self, points: Tensor, size: int, rng: np.random.Generator) -> Tensor:
        sides = np.minimum(1, drawn_sides(self.area, self.aspect, len(points), rng))
        return _window(points, sides[:, None], rng)


class ScaleJitter(Movement):
    """The picture scaled so that its shorter side is drawn anew, and a square cut from it.

    Stated for a crop of 224 pixels, and in proportion at every other size.
    """

    name = "scale_jitter"
    after = "Simonyan and Zisserman 2014, section 3.1; the range: He et al. 2015, section 3.4"
    shown = (
        {"shorter": [224.0, 224.0]},
        {"shorter": [256.0, 256.0]},
        {"shorter": [256.0, 480.0]},
        {"shorter": [480.0, 480.0]},
    )

    shorter: Annotated[Range[Shorter], Field(description="the shorter side, in pixels where the crop has 224")] = (
        256.0,
        480.0,
    )

    def sources(self, points: Tensor, size: int, rng: np.random.Generator) -> Tensor:
        sides = CROP / rng.uniform(*self.shorter, (len(points), 1, 1))
        return _window(points, sides, rng)


class Rotation(Movement):
    """Turned around the centre, to either side."""

    name = "rotation"
    after = "Simard et al. 2003, section 2"
    shown = ({"degrees": 0.0}, {"degrees": 10.0}, {"degrees": 30.0}, {"degrees": 90.0})

    degrees: Annotated[float, Field(ge=0, le=180, description="at most so far")] = 15.0

    def sources(self, points: Tensor, size: int, rng: np.random.Generator) -> Tensor:
        angle = np.radians(rng.uniform(-self.degrees, self.degrees, len(points)))
        return _linear(points, np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle))


class Shear(Movement):
    """Rows pushed along, and columns too, the more the further they are from the centre."""

    name = "shear"
    after = "Simard et al. 2003, section 2"
    shown = ({"degrees": 0.0}, {"degrees": 5.0}, {"degrees": 15.0}, {"degrees": 30.0})

    degrees: Annotated[float, Field(ge=0, le=60, description="at most so far does an axis lean")] = 10.0

    def sources(self, points: Tensor, size: int, rng: np.random.Generator) -> Tensor:
        x, y = np.tan(np.radians(rng.uniform(-self.degrees, self.degrees, (2, len(points)))))
        return _linear(points, np.ones_like(x), x, y, np.ones_like(y))


class Perspective(Movement):
    """Seen from aside: each corner moved, the rest following as on a plane."""

    name = "perspective"
    after = "Hartley and Zisserman 2004, section 2.3 (a plane homography by four points)"
    shown = ({"shift": 0.0}, {"shift": 0.05}, {"shift": 0.1}, {"shift": 0.2})

    shift: Annotated[float, Field(ge=0, le=0.2, description="of a corner, at most, each way; a share of the side")] = (
        0.1
    )

    def sources(self, points: Tensor, size: int, rng: np.random.Generator) -> Tensor:
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) + np.zeros((len(points), 1, 1))
        moved = corners + rng.uniform(-2 * self.shift, 2 * self.shift, corners.shape)
        matrix = get_perspective_transform(tensor(corners, points), tensor(moved, points))
        x, y, w = (points @ matrix[:, :, :2].mT + matrix[:, None, :, 2]).unbind(-1)
        return torch.stack([x / w, y / w], -1)


class Elastic(Movement):
    """Warped here and there: the nodes of a coarse grid are moved, the rest follows smoothly."""

    name = "elastic"
    after = "Ronneberger et al. 2015 (U-Net), section 3.1, after Simard et al. 2003"
    shown = ({"shift": 0.0}, {"shift": 0.02}, {"shift": 0.04}, {"shift": 0.08})

    shift: Annotated[float, Field(ge=0, le=0.2, description="standard deviation of a node, a share of the side")] = 0.02
    nodes: Annotated[int, Field(ge=2, le=32, description="of the grid, along a side")] = 4

    def sources(self, points: Tensor, size: int, rng: np.random.Generator) -> Tensor:
        field = rng.normal(0, 2 * self.shift, (len(points), 2, self.nodes, self.nodes))
        return _displaced(points, tensor(field, points), size)


class ThinPlate(Movement):
    """Bent like a thin plate of metal that is held at nine points, each moved."""

    name = "thin_plate"
    after = "Bookstein 1989"
    shown = ({"shift": 0.0}, {"shift": 0.05}, {"shift": 0.1}, {"shift": 0.2})

    shift: Annotated[float, Field(ge=0, le=0.25, description="of a point, at most, each way; a share of the side")] = (
        0.1
    )

    def sources(self, points: Tensor, size: int, rng: np.random.Generator) -> Tensor:
        shifts = rng.uniform(-2 * self.shift, 2 * self.shift, (len(points), 9, 2))
        field = (_plates() @ shifts).reshape(-1, FINE, FINE, 2)
        return _displaced(points, tensor(field.transpose(0, 3, 1, 2), points), size)


@functools.cache
def _plates() -> np.ndarray:
    """How a thin plate rises at FINE x FINE nodes when it is lifted by 1 at one of nine points: [FINE * FINE, 9].

    SciPy's spline, as Kornia's puts its kernels at the points that were moved instead of those that are held.
    """
    from scipy.interpolate import RBFInterpolator

    held, nodes = (
        np.stack(np.meshgrid(line, line), -1).reshape(-1, 2) for line in (np.linspace(-1, 1, n) for n in (3, FINE))
    )
    return RBFInterpolator(held, np.eye(9), kernel="thin_plate_spline")(nodes)


def _window(points: Tensor, sides: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Anywhere in the picture a window with `sides` [N, 1, 1 or 2], shares of the picture's."""
    centres = rng.uniform(-1, 1, (len(points), 1, 2)) * (1 - sides)
    return points * tensor(sides, points) + tensor(centres, points)


def _linear(points: Tensor, xx: np.ndarray, xy: np.ndarray, yx: np.ndarray, yy: np.ndarray) -> Tensor:
    """X' = xx x + xy y and y' = yx x + yy y, with numbers [N]."""
    return points @ tensor(np.stack([np.stack([xx, yx], -1), np.stack([xy, yy], -1)], 1), points)


def _displaced(points: Tensor, field: Tensor, size: int) -> Tensor:
    """The points moved by a smooth `field` [N, 2, nodes, nodes] that reaches from border to border."""
    side = min(FINE, size + 1)
    fine = interpolate(field, (side, side), mode="bicubic", align_corners=True)
    moves = grid_sample(fine, points[:, :, None], mode="bilinear", padding_mode="border", align_corners=True)
    return points + moves[..., 0].mT
