"""Which parts of a picture are shown, and that a graph cuts out exactly those."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from sightline.core.errors import UserError
from sightline.data.preprocess import Preprocess
from sightline.exporting.assembly import Assembly
from sightline.exporting.averaging import Views
from sightline.exporting.views import MOST, View, shared_picture, spoken, views_of

CENTRE = Preprocess(224, crop_frac=0.875)  # the shorter side to 256, its central 224
WHOLE = Preprocess(224)
SMALL = Preprocess(32)


def cut(preprocess: Preprocess, views: tuple[View, ...], images: np.ndarray) -> list[np.ndarray]:
    """What a graph cuts out of uint8 `images` that `preprocess` made."""
    graph = Assembly()
    made = Views(graph, preprocess)
    whole = [graph.node("Cast", graph.node("Concat", *map(made.cut, views), axis=0), to=1)] * 3
    shape = [views[0].side, views[0].side, preprocess.channels]
    model = graph.model([preprocess.size, preprocess.size, preprocess.channels], whole, [shape] * 3, {})
    (found,) = onnxruntime.InferenceSession(model).run(["logits"], {"images": images})
    return np.split(found.astype(np.uint8), len(views))


def marked(preprocess: Preprocess, count: int = 2) -> np.ndarray:
    """Pictures no two pixels of which are alike in their neighbourhood."""
    shape = (count, preprocess.size, preprocess.size, preprocess.channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_ten_views_are_centre_corners_and_their_mirror_images() -> None:
    base, (views,) = shared_picture([CENTRE], "10")
    assert base == Preprocess(256)
    images = marked(base)
    places = [(16, 16), (0, 0), (0, 32), (32, 0), (32, 32)]
    crops = [images[:, top : top + 224, left : left + 224] for top, left in places]
    expected = [*crops, *(crop[:, :, ::-1] for crop in crops)]
    found = cut(base, views, images)
    assert len(found) == 10
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for kind, those in (("5", [0, 1, 2, 3, 4]), ("2", [0, 5]), ("1", [0])):
        assert views_of(CENTRE, kind) == tuple(views[place] for place in those)


def test_an_odd_margin_is_mirrored_exactly() -> None:
    views = views_of(Preprocess(9, crop_frac=0.75), "10")  # 9 of 12
    base = Preprocess(12)
    found = cut(base, views, marked(base))
    for plain, mirrored in zip(found[:5], found[5:], strict=True):
        np.testing.assert_array_equal(mirrored, plain[:, :, ::-1])


def test_small_pictures_get_a_border_of_their_own_pixels() -> None:
    base, (views,) = shared_picture([SMALL], "10")
    assert base == SMALL
    images = marked(SMALL)
    bordered = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)), mode="reflect")
    crops = [bordered[:, top : top + 32, left : left + 32] for top, left in ((4, 4), (0, 0), (0, 8), (8, 0), (8, 8))]
    np.testing.assert_array_equal(crops[0], images)
    for ours, theirs in zip(cut(base, views, images), [*crops, *(c[:, :, ::-1] for c in crops)], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_centre_of_the_larger_picture_is_the_single_view() -> None:
    photo = Image.fromarray(np.random.default_rng(1).integers(0, 256, (300, 400, 3), dtype=np.uint8))
    base, (views,) = shared_picture([CENTRE], "5")
    (centre,) = cut(base, views[:1], base(photo)[None])
    np.testing.assert_array_equal(centre[0], CENTRE(photo))


@pytest.mark.parametrize("kind", ["1", "2"])
def test_the_centre_alone_needs_no_larger_picture(kind: str) -> None:
    base, plans = shared_picture([CENTRE, CENTRE], kind)
    assert base == CENTRE
    images = marked(base)
    for plan in plans:
        found = cut(base, plan, images)
        assert len(found) == int(kind)
        np.testing.assert_array_equal(found[0], images)
        np.testing.assert_array_equal(found[-1], images if kind == "1" else images[:, :, ::-1])


def test_several_scales_come_from_the_largest() -> None:
    base, (views,) = shared_picture([WHOLE], "10", [256, 224, 288])
    assert base == Preprocess(288)
    assert [sum(view.scale == scale for view in views) for scale in (256, 224, 288)] == [10, 2, 10]
    assert views[0] == View(256, 16, 16, 224)
    assert views_of(WHOLE, "dense", [256, 288]) == (View(256, 0, 0, 256), View(288, 0, 0, 288))
    assert views_of(WHOLE, "10")[0] == View(256, 16, 16, 224)
    assert views_of(WHOLE, "dense") == views_of(CENTRE, "dense") == (View(256, 0, 0, 256),)


@pytest.mark.parametrize(
    ("interpolation", "scale", "allowed"),
    [("bilinear", 24, 0.2), ("bicubic", 24, 0.2), ("lanczos", 40, 3), ("bilinear", 40, 3), ("nearest", 40, 0)],
)
def test_a_smaller_scale_is_what_pillow_makes_of_the_picture(interpolation: str, scale: int, allowed: float) -> None:
    """Below half the size both take the same pixels, but for rounding; above, bilinear does without antialiasing."""
    base = Preprocess(56, interpolation=interpolation)
    rows = np.linspace(0, 6, 56)
    smooth = (127 + 80 * np.sin(rows[:, None] + np.array([0, 1, 2])) * np.cos(rows)[:, None, None]).astype(np.uint8)
    (found,) = cut(base, (View(scale, 0, 0, scale),), smooth[None])
    expected = Preprocess(scale, interpolation=interpolation)(Image.fromarray(smooth))
    assert np.abs(found[0].astype(int) - expected).mean() <= allowed


def test_networks_of_different_sizes_share_the_largest_picture() -> None:
    base, (small, large) = shared_picture([CENTRE, Preprocess(299, crop_frac=0.875)], "1")
    assert base.size == 342
    assert (small, large) == ((View(256, 16, 16, 224),), (View(342, 21, 21, 299),))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Preprocess(224, 1, mean=(0.5,), std=(0.5,)), "grey pictures and another colour"),
        (Preprocess(224, resize="squash"), "all of it, squashed"),
    ],
)
def test_pictures_that_cannot_be_shared_are_refused(other: Preprocess, words: str) -> None:
    with pytest.raises(UserError, match=words):
        shared_picture([CENTRE, other], "1")


@pytest.mark.parametrize(
    ("kind", "scales", "words"),
    [
        ("3", [], 'unknown views "3"'),
        ("dens", [], 'did you mean "dense"'),
        ("1", [0], "scale 0 is out of range"),
        ("1", [-5], "scale -5 is out of range"),
        ("1", [5000], "scale 5000 is out of range"),
        ("10", [256, 288, 256], "scale 256 is given twice"),
        ("10", [223], "scale 223 is too small: the network takes 224 pixels"),
        ("5", [224], "5 views of 224 pixels are all alike"),
        ("10", list(range(230, 245)), "15 scales are too many for 10 views: give 14 at most"),
        ("dense", list(range(1, MOST + 2)), "145 scales are too many"),
    ],
)
def test_views_that_make_no_sense_are_told(kind: str, scales: list[int], words: str) -> None:
    with pytest.raises(UserError, match=words):
        views_of(CENTRE, kind, scales)


def test_spoken() -> None:
    assert spoken("1") == ""
    assert spoken("10", [224, 256, 288]) == "10 views at 224, 256 and 288"
    assert spoken("1", [256]) == "at 256"
    assert (spoken("2"), spoken("dense", [256])) == ("mirrored", "dense at 256")
