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
    lambda size, channels, resize, interpolation, mean, std: Preprocess(
        size, channels, resize, interpolation, (mean,) * channels, (std,) * channels
    ),
    st.integers(1, 64),
    st.sampled_from([1, 3]),
    st.sampled_from(["shorter", "squash"]),
    st.sampled_from(sorted(INTERPOLATIONS)),
    st.floats(0, 1),
    st.floats(0.01, 2),
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
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(UserError):
        Preprocess(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", [{"mean": None}, {"colour": 1}])
def test_a_damaged_description_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(UserError, match="damaged preprocess"):
        Preprocess.from_dict({**Preprocess(8).to_dict(), **damage})
