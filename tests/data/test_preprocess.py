from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sightline.core.errors import UserError
from sightline.data.preprocess import INTERPOLATIONS, Preprocess

preprocesses = st.builds(
    lambda size, channels, resize, interpolation, mean, std, crop_frac: Preprocess(
        size, channels, resize, interpolation, (mean,) * channels, (std,) * channels, crop_frac
    ),
    st.integers(1, 64),
    st.sampled_from([1, 3]),
    st.sampled_from(["shorter", "squash"]),
    st.sampled_from(sorted(INTERPOLATIONS)),
    st.floats(0, 1),
    st.floats(0.01, 2),
    st.just(1.0) | st.floats(0.1, 1),
)


@given(preprocesses)
def test_it_survives_json(preprocess: Preprocess) -> None:
    assert Preprocess.from_dict(json.loads(json.dumps(preprocess.to_dict()))) == preprocess


@given(preprocesses, st.integers(1, 90), st.integers(1, 90), st.sampled_from(["L", "RGB"]))
def test_any_picture_becomes_the_same_shape(preprocess: Preprocess, width: int, height: int, mode: str) -> None:
    pixels = preprocess(Image.new(mode, (width, height), 77))
    assert pixels.shape == (preprocess.size, preprocess.size, preprocess.channels)
    assert pixels.dtype == np.uint8


def test_a_picture_of_the_right_size_keeps_its_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    assert np.array_equal(Preprocess(32)(Image.fromarray(pixels)), pixels)


def test_the_centre_is_kept_and_the_sides_go() -> None:
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255
    assert Preprocess(10)(Image.fromarray(wide)).min() == 255
    squashed = Preprocess(10, resize="squash")(Image.fromarray(wide))
    assert squashed.min() == 0


def test_the_key_follows_the_pixels_alone() -> None:
    assert Preprocess(32).key() == Preprocess(32, mean=(0, 0, 0)).key()
    keys = {Preprocess(32).key(), Preprocess(33).key(), Preprocess(32, resize="squash").key()}
    assert len(keys) == 3


@pytest.mark.parametrize(
    "options",
    [
        {"size": 0},
        {"size": 5000},
        {"size": 8, "channels": 2},
        {"size": 8, "resize": "stretch"},
        {"size": 8, "interpolation": "magic"},
        {"size": 8, "mean": (0.5,)},
        {"size": 8, "std": (0.5, 0.0, 0.5)},
        {"size": 8, "crop_frac": 0.0},
        {"size": 8, "crop_frac": 1.5},
        {"size": 8, "crop_frac": float("nan")},
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(UserError):
        Preprocess(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", [{"mean": None}, {"colour": 1}, {"crop_frac": "all"}])
def test_a_damaged_description_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(UserError, match="damaged preprocess"):
        Preprocess.from_dict({**Preprocess(8).to_dict(), **damage})


def test_the_central_part_is_what_a_larger_resize_and_a_crop_keep() -> None:
    """Shorter side to 64 and crop 48, in one resampling; at the border of the crop the filter sees less."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
    picture = Image.fromarray(pixels).resize((384, 256), Image.Resampling.BICUBIC)
    twice = np.asarray(picture.resize((96, 64), Image.Resampling.BILINEAR).crop((24, 8, 72, 56)), int)
    once = Preprocess(48, crop_frac=0.75)(picture).astype(int)
    assert np.abs(once - twice)[2:-2, 2:-2].max() <= 1
    squashed = picture.resize((64, 64), Image.Resampling.BILINEAR).crop((8, 8, 56, 56))
    both = Preprocess(48, resize="squash", crop_frac=0.75)(picture).astype(int)
    assert np.abs(both - np.asarray(squashed, int))[2:-2, 2:-2].max() <= 1


def test_descriptions_from_before_the_central_part_stay_as_they_are() -> None:
    old = {"size": 32, "channels": 1, "resize": "shorter", "interpolation": "bilinear", "mean": [0.5], "std": [0.2]}
    assert Preprocess.from_dict(old).to_dict() == old
    assert Preprocess.from_dict(old).crop_frac == 1
    assert Preprocess(32).key() == "b610a23b77964ebb"
    assert Preprocess(32, crop_frac=0.875).key() != Preprocess(32).key()
    assert Preprocess(32, crop_frac=0.875).to_dict()["crop_frac"] == 0.875
