"""That values change as the distortion says; Pillow is the oracle where it has the same operation."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from sightline.data.augment.changes import (
    EIGENVALUES,
    EIGENVECTORS,
    Blur,
    Brightness,
    Contrast,
    Erasing,
    Hue,
    PCAColour,
    Saturation,
)
from sightline.data.augment.distortion import Change, as_bytes, as_floats
from sightline.data.augment.randaugment import OPERATIONS, RandAugment
from tests.data.distorted import Most, batch, distorted
from tests.pictures import crops


def at_most(change: Change, images: Tensor) -> Tensor:
    """uint8 pictures changed with the upper end of every range."""
    return as_bytes(change.changed(as_floats(images), Most()))  # type: ignore[arg-type]


def photos(count: int = 4) -> Tensor:
    return torch.from_numpy(np.stack([np.asarray(picture) for picture in crops("flower.jpg", count)])).permute(
        0, 3, 1, 2
    )


def pillow(images: Tensor, work: Callable[[Image.Image], Image.Image]) -> Tensor:
    made = [np.asarray(work(Image.fromarray(image.permute(1, 2, 0).numpy()))) for image in images]
    return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2)


def apart(one: Tensor, other: Tensor) -> float:
    return float((one.float() - other.float()).abs().max())


@pytest.mark.parametrize(
    ("change", "enhance"),
    [
        (Brightness(factor=0.4), ImageEnhance.Brightness),
        (Contrast(factor=0.4), ImageEnhance.Contrast),
        (Saturation(factor=0.4), ImageEnhance.Color),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_light_and_colour_change_as_pillows(
    change: Change, enhance: Callable[[Image.Image], ImageEnhance._Enhance]
) -> None:
    theirs = pillow(photos(), lambda picture: enhance(picture).enhance(1.4))
    assert apart(at_most(change, photos()), theirs) <= 2  # Pillow's greys are rounded before they are used


def test_factors_go_to_either_side_and_no_further() -> None:
    grey = torch.full((500, 1, 4, 4), 100, dtype=torch.uint8)
    found = distorted(grey, Brightness(factor=0.3)).float().mean((1, 2, 3))
    assert 70 <= found.min() < 75
    assert 125 < found.max() <= 130


def test_half_a_turn_of_the_hue_makes_red_cyan() -> None:
    red = torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    assert at_most(Hue(turn=0.5), red)[0, :, 0, 0].tolist() == [0, 255, 255]
    third = at_most(Hue(turn=1 / 3), red)[0, :, 0, 0].tolist()
    assert third == [0, 255, 0]
    grey = batch(4, channels=1).expand(-1, 3, -1, -1)
    assert torch.equal(at_most(Hue(turn=0.4), grey), grey)


def test_the_pca_shift_is_alexnets() -> None:
    """Every pixel of a picture by the same p (alpha lambda), with alpha drawn from N(0, 0.1)."""
    images = torch.full((2000, 3, 2, 2), 0.5)
    shifts = PCAColour().changed(images, np.random.default_rng(0)) - images
    assert torch.equal(shifts[..., :1, :1].expand_as(shifts), shifts)
    along = shifts[:, :, 0, 0].double().numpy() @ np.linalg.inv(np.array(EIGENVECTORS)).T
    assert along.std(axis=0) == pytest.approx(0.1 * np.array(EIGENVALUES), rel=0.1)
    assert np.abs(np.corrcoef(along.T) - np.eye(3)).max() < 0.1


def test_the_axes_are_those_in_which_the_colours_of_photographs_vary(shared: Callable[[str], Path]) -> None:
    """Of 200 ImageNet photos, which were not among those the numbers were computed from."""
    pixels = []
    with zipfile.ZipFile(shared("data/imagenet_sample/imagenet_sample_200.zip")) as archive:
        for name in archive.namelist():
            if name.lower().endswith((".jpg", ".jpeg")):
                picture = Image.open(io.BytesIO(archive.read(name))).convert("RGB")
                picture.thumbnail((64, 64), Image.Resampling.NEAREST)
                pixels.append(np.asarray(picture).reshape(-1, 3) / 255)
    values, vectors = np.linalg.eigh(np.cov(np.concatenate(pixels).T))
    assert values[::-1] == pytest.approx(EIGENVALUES, rel=0.25)
    for ours, theirs in zip(np.array(EIGENVECTORS).T, vectors.T[::-1], strict=True):
        assert abs(ours @ theirs) > 0.999


@pytest.mark.parametrize("sigma", [0.02, 0.05])
def test_blur_spreads_a_point_as_far_as_it_says_and_keeps_its_light(sigma: float) -> None:
    size = 65
    point = torch.zeros(1, 1, size, size)
    point[..., 32, 32] = 1
    spread = Blur(sigma=(sigma, sigma)).changed(point, np.random.default_rng(0))[0, 0].double()
    assert float(spread.sum()) == pytest.approx(1, abs=1e-5)
    away = torch.arange(size).double() - 32
    assert float((spread.sum(0) * away**2).sum()) ** 0.5 == pytest.approx(sigma * size, rel=0.03)


def test_blur_draws_a_width_for_each_picture() -> None:
    point = torch.zeros(200, 1, 33, 33)
    point[..., 16, 16] = 1
    heights = Blur(sigma=(0, 0.05)).changed(point, np.random.default_rng(0))[:, 0, 16, 16]
    assert heights.max() > 0.9
    assert heights.min() < 0.1
    assert len(heights.unique()) > 100


def test_erasing_fills_one_box_of_the_area_and_shape_it_says() -> None:
    black = torch.zeros(300, 3, 64, 64, dtype=torch.uint8)
    after = distorted(black, Erasing(p=1, area=(0.1, 0.3), aspect=(0.5, 2)))
    areas, shapes, noise = [], [], []
    for picture in after:
        mask = picture.amax(0) > 0
        rows, columns = (torch.nonzero(mask.any(axis)).flatten() for axis in (1, 0))
        height, width = int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)
        assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].float().mean() > 0.98  # some noise is black
        areas.append(height * width / 64**2)
        shapes.append(width / height)
        noise.append(picture[:, mask].float())
    assert 0.1 * 0.9 < min(areas) < 0.12
    assert 0.28 < max(areas) < 0.3 * 1.1
    assert 0.45 < min(shapes) < 0.6
    assert 1.7 < max(shapes) < 2.2
    values = torch.cat([part.flatten() for part in noise])
    assert float(values.mean()) == pytest.approx(127.5, abs=1)
    assert float(values.std()) == pytest.approx(256 / 12**0.5, rel=0.01)


MAGNITUDE = 0.5
ENHANCED = 1 + 0.9 * MAGNITUDE
PILLOW: dict[str, Callable[[Image.Image], Image.Image]] = {
    "identity": lambda picture: picture,
    "auto contrast": ImageOps.autocontrast,
    "equalize": ImageOps.equalize,
    "solarize": lambda picture: ImageOps.solarize(picture, 128),
    "posterize": lambda picture: ImageOps.posterize(picture, 6),
    "saturation": lambda picture: ImageEnhance.Color(picture).enhance(ENHANCED),
    "contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(ENHANCED),
    "brightness": lambda picture: ImageEnhance.Brightness(picture).enhance(ENHANCED),
    "sharpness": lambda picture: ImageEnhance.Sharpness(picture).enhance(ENHANCED),
}


@pytest.mark.parametrize("name", PILLOW)
def test_randaugments_operations_are_pillows(name: str) -> None:
    ours = as_bytes(OPERATIONS[name](as_floats(photos()), torch.full((4,), MAGNITUDE)).clamp(0, 1))
    assert apart(ours, pillow(photos(), PILLOW[name])) <= 2


def test_randaugment_moves_as_far_as_autoaugments_table_says() -> None:
    size = 64
    column = torch.arange(size).expand(1, 1, size, size) / size
    picture, last, middle = torch.cat([column, column.mT], 1), (size - 1) / size, (size - 1) / 2 / size
    x, y = picture[0, :, 24:40, 24:40]
    across, down = (torch.where(v + 0.45 > last, 2 * last - v - 0.45, v + 0.45) for v in (x, y))
    expected = {
        "shear x": (x + 0.3 * (y - middle), y),
        "shear y": (x, y + 0.3 * (x - middle)),
        "translate x": (across, y),
        "translate y": (x, down),
        "rotate": (
            middle + 0.75**0.5 * (x - middle) + 0.5 * (y - middle),
            middle - 0.5 * (x - middle) + 0.75**0.5 * (y - middle),
        ),
    }
    assert set(expected) == set(OPERATIONS) - set(PILLOW)
    for name, (wide, high) in expected.items():
        moved = OPERATIONS[name](picture, torch.ones(1))[0, :, 24:40, 24:40]
        assert torch.allclose(moved, torch.stack([wide, high]), atol=1e-2), name


def test_randaugment_draws_all_operations_alike() -> None:
    seen = dict.fromkeys(OPERATIONS, 0)
    entry = RandAugment(count=1)
    with pytest.MonkeyPatch.context() as patch:
        for name, operation in OPERATIONS.items():

            def counted(images: Tensor, m: Tensor, name: str = name, operation: object = operation) -> Tensor:
                seen[name] += len(images)
                return images

            patch.setitem(OPERATIONS, name, counted)
        entry.changed(torch.zeros(1400, 3, 4, 4), np.random.default_rng(0))
    assert sum(seen.values()) == 1400
    assert min(seen.values()) > 65
    assert max(seen.values()) < 140
