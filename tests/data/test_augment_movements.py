"""That what is moved ends where the distortion says, on marked pictures and on ramps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sightline.data.augment import Mirror, Movement
from sightline.data.augment.movements import (
    Elastic,
    PaddedCrop,
    Perspective,
    RandomResizedCrop,
    Rotation,
    ScaleJitter,
    Shear,
    ThinPlate,
    grid,
    resampled,
)
from tests.data.distorted import Most, batch, distorted

SIZE = 32


def marked(x: int, y: int) -> Tensor:
    """Black, with one white pixel."""
    picture = torch.zeros(1, 3, SIZE, SIZE, dtype=torch.uint8)
    picture[..., y, x] = 255
    return picture


def brightest(pictures: Tensor) -> tuple[int, int]:
    """Where the mark is now: column and row."""
    y, x = divmod(int(pictures[0, 0].flatten().argmax()), SIZE)
    return x, y


def at_most(movement: Movement, picture: Tensor) -> Tensor:
    """The picture, floats, moved with the upper end of every range."""
    points = movement.sources(grid(len(picture), SIZE, picture), SIZE, Most())  # type: ignore[arg-type]
    return resampled(picture.float(), points)


def ramps() -> Tensor:
    """Two channels, that say where a pixel comes from: x and y from -1 to 1."""
    return grid(1, SIZE, torch.empty(0)).view(1, SIZE, SIZE, 2).permute(0, 3, 1, 2).contiguous()


def test_the_mirror_mirrors_about_half_and_nothing_else() -> None:
    before = batch(64)
    after = distorted(before, Mirror())
    mirrored = [torch.equal(b, a.flip(-1)) for a, b in zip(before, after, strict=True)]
    same = [torch.equal(b, a) for a, b in zip(before, after, strict=True)]
    assert all(m != s for m, s in zip(mirrored, same, strict=True))
    assert 16 < sum(mirrored) < 48
    assert brightest(distorted(marked(3, 9), Mirror(p=1))) == (SIZE - 1 - 3, 9)


@pytest.mark.parametrize("others", [(), (Rotation(degrees=0),)], ids=["by whole pixels", "between pixels"])
def test_a_crop_padded_with_black_is_a_window_of_the_padded_picture(others: tuple[Movement, ...]) -> None:
    before = batch(64)
    after = distorted(before, PaddedCrop(fill="black"), *others)
    padded, side = torch.nn.functional.pad(before, (2, 2, 2, 2)), before.shape[-1]
    windows = [(y, x) for y in range(5) for x in range(5)]
    for whole, cut in zip(padded, after, strict=True):
        assert any(torch.equal(whole[:, y : y + side, x : x + side], cut) for y, x in windows)
    assert not torch.equal(after, distorted(before, PaddedCrop(), *others))


def test_the_crop_shifts_by_at_most_the_margin_and_keeps_pixels_exact() -> None:
    before = batch(64)
    after = distorted(before, PaddedCrop())
    padded = torch.nn.functional.pad(before.float(), (2, 2, 2, 2), mode="reflect")
    shifts = set()
    for whole, cut in zip(padded, after, strict=True):
        places = [(y, x) for y in range(5) for x in range(5)]
        found = [(y, x) for y, x in places if torch.equal(whole[:, y : y + 16, x : x + 16], cut.float())]
        assert len(found) == 1
        shifts.add(found[0])
    assert len(shifts) > 10


@pytest.mark.parametrize(("mark", "ends"), [((15, 2), (29, 15)), ((29, 15), (16, 29)), ((5, 5), (26, 5))])
def test_a_quarter_turn_is_one_to_the_pixel(mark: tuple[int, int], ends: tuple[int, int]) -> None:
    turned = at_most(Rotation(degrees=90), marked(*mark))
    assert brightest(turned) == ends
    picture = batch(1, SIZE)
    assert torch.allclose(at_most(Rotation(degrees=90), picture), torch.rot90(picture, -1, (2, 3)).float(), atol=0.02)


def test_rotations_turn_by_no_more_than_they_say_and_keep_the_centre() -> None:
    points = torch.tensor([[[0.0, 0.0], [0.5, 0.0]]]).expand(500, -1, -1)
    centre, edge = Rotation(degrees=20).sources(points, SIZE, np.random.default_rng(0)).unbind(1)
    assert torch.equal(centre, torch.zeros(500, 2))
    angles = torch.atan2(edge[:, 1], edge[:, 0]).rad2deg()
    assert torch.allclose(edge.norm(dim=1), torch.tensor(0.5))
    assert angles.min() < -18
    assert angles.max() > 18
    assert angles.abs().max() <= 20.001


def test_a_shear_pushes_rows_and_columns_by_their_distance_from_the_centre() -> None:
    x, y = at_most(Shear(degrees=20), ramps())[0]
    lean = math.tan(math.radians(20))
    across, down = ramps()[0]
    inner = (across.abs() < 0.6) & (down.abs() < 0.6)  # further out the border is reflected
    assert torch.allclose(x[inner], (across + lean * down)[inner], atol=1e-3)
    assert torch.allclose(y[inner], (down + lean * across)[inner], atol=1e-3)


@pytest.mark.parametrize(
    ("crop", "least", "most"),
    [
        (RandomResizedCrop(area=(0.25, 0.25), aspect=(1, 1)), 0.5, 0.5),
        (RandomResizedCrop(area=(0.16, 0.64), aspect=(1, 1)), 0.4, 0.8),
        (ScaleJitter(shorter=(448, 448)), 0.5, 0.5),
        (ScaleJitter(), 224 / 480, 224 / 256),
    ],
)
def test_a_crop_shows_its_share_of_the_side_and_lies_anywhere_within(crop: Movement, least: float, most: float) -> None:
    points = torch.tensor([[[-1.0, -1.0], [1.0, 1.0]]]).expand(500, -1, -1)
    first, last = crop.sources(points, SIZE, np.random.default_rng(0)).unbind(1)
    sides = (last - first) / 2
    assert torch.allclose(sides[:, 0], sides[:, 1])
    assert sides.min() >= least - 1e-6
    assert sides.max() <= most + 1e-6
    assert sides.max() - sides.min() >= 0.9 * (most - least)
    assert first.min() >= -1 - 1e-6
    assert last.max() <= 1 + 1e-6
    assert first.amin(0).max() < -0.95
    assert last.amax(0).min() > 0.95


def test_scale_jitter_is_in_proportion_at_every_size() -> None:
    """What a 224 crop of a picture with a shorter side of 448 shows, a 32 crop of one of 64 shows too."""
    for size in (32, 224):
        picture = grid(1, size, torch.empty(0)).view(1, size, size, 2).permute(0, 3, 1, 2).contiguous()
        points = ScaleJitter(shorter=(448, 448)).sources(grid(1, size, picture), size, np.random.default_rng(3))
        seen = resampled(picture, points)
        assert float(seen[0, 0].amax() - seen[0, 0].amin()) == pytest.approx(1 - 1 / size, abs=1e-3)


def test_the_area_and_the_shape_of_crops_stay_in_their_ranges() -> None:
    points = torch.tensor([[[-1.0, -1.0], [1.0, 1.0]]]).expand(2000, -1, -1)
    crop = RandomResizedCrop(area=(0.1, 0.5), aspect=(0.5, 2))
    first, last = crop.sources(points, SIZE, np.random.default_rng(0)).unbind(1)
    width, height = ((last - first) / 2).unbind(1)
    assert (width * height).min() >= 0.1 - 1e-5
    assert (width * height).max() <= 0.5 + 1e-5
    assert (width / height).min() == pytest.approx(0.5, abs=0.05)
    assert (width / height).max() == pytest.approx(2, abs=0.05)
    assert (width > height).float().mean() == pytest.approx(0.5, abs=0.05)


def test_perspective_moves_corners_within_its_shift_and_keeps_lines_straight() -> None:
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    line = torch.stack([torch.tensor([-0.8, 0.3]) + t * torch.tensor([1.0, -0.7]) for t in (0.0, 0.3, 0.9)])
    points = torch.cat([corners, line]).expand(300, -1, -1)
    moved = Perspective(shift=0.1).sources(points, SIZE, np.random.default_rng(0))
    shifts = (moved[:, :4] - corners).abs()
    assert shifts.max() <= 0.2 + 1e-5
    assert shifts.amax(0).min() > 0.19
    one, two = moved[:, 5] - moved[:, 4], moved[:, 6] - moved[:, 4]
    assert (one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]).abs().max() < 1e-5
    assert (moved[:, 4:] - line).abs().amax() > 0.05


def test_a_thin_plate_is_held_at_its_nine_points() -> None:
    at = grid(1, 3, torch.empty(0)) * 1.5
    points = at.expand(50, -1, -1)
    moved = ThinPlate(shift=0.1).sources(points, SIZE, np.random.default_rng(0))
    drawn = np.random.default_rng(0).uniform(-0.2, 0.2, (50, 9, 2))
    assert np.abs((moved - points).numpy() - drawn).max() < 1e-3
    pushed = ThinPlate(shift=0.1).sources(points, SIZE, Most())  # type: ignore[arg-type]
    assert torch.allclose(pushed, points + 0.2, atol=1e-5)


def test_a_thin_plate_bends_as_bookstein_says() -> None:
    """Against his linear system (section E), solved here for one plate."""
    held = (grid(1, 3, torch.empty(0)) * 1.5)[0].double().numpy()
    lifted = np.random.default_rng(4).uniform(-0.2, 0.2, (1, 9, 2))[0]

    def kernel(points: np.ndarray) -> np.ndarray:
        squares = ((points[:, None] - held) ** 2).sum(-1)
        return squares * np.log(np.where(squares > 0, squares, 1))

    affine = np.hstack([np.ones((9, 1)), held])
    system = np.block([[kernel(held), affine], [affine.T, np.zeros((3, 3))]])
    weights = np.linalg.solve(system, np.vstack([lifted, np.zeros((3, 2))]))
    points = grid(1, SIZE, torch.empty(0))
    at = points[0].double().numpy()
    theirs = kernel(at) @ weights[:9] + np.hstack([np.ones((len(at), 1)), at]) @ weights[9:]
    ours = ThinPlate(shift=0.1).sources(points, SIZE, np.random.default_rng(4)) - points
    assert np.abs(ours[0].numpy() - theirs).max() < 2e-3  # 0.03 pixels: it is linear between the nodes of a fine grid


def test_an_elastic_grid_moves_its_nodes_as_drawn_and_smoothly_between() -> None:
    line = torch.linspace(-1, 1, 4)
    nodes = torch.stack(torch.meshgrid(line, line, indexing="ij")[::-1], -1).reshape(1, 16, 2)
    drawn = np.random.default_rng(0).normal(0, 0.1, (1, 2, 4, 4))
    moved = Elastic(shift=0.05).sources(nodes, 256, np.random.default_rng(0)) - nodes
    assert np.abs(moved[0].T.reshape(2, 4, 4).numpy() - drawn[0]).max() < 0.01
    fine = Elastic(shift=0.05).sources(grid(1, 256, nodes), 256, np.random.default_rng(0)).view(256, 256, 2)
    assert fine.diff(dim=0).abs().amax() < 0.02
    many = Elastic(shift=0.05).sources(nodes.expand(200, -1, -1), 256, np.random.default_rng(1)) - nodes
    assert float(many.std()) == pytest.approx(0.1, rel=0.1)
