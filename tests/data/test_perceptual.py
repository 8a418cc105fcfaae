from __future__ import annotations

import imagehash
import numpy as np
import pytest
from PIL import Image

from sightline.data.perceptual import looks, small
from tests.data.made import picture


@pytest.mark.parametrize("side", [8, 17, 32, 33, 60])
def test_the_hash_is_imagehashs(side: int) -> None:
    """Independent formulation: ImageHash's phash, through SciPy's cosine transform."""
    generator = np.random.default_rng(side)
    noise = [Image.fromarray(generator.integers(0, 256, (side, side + 3, 3), dtype=np.uint8)) for _ in range(20)]
    images = [*noise, *(picture(seed, side) for seed in range(20))]
    hashes, _ = looks(np.stack([small(image) for image in images]))
    expected = [int(str(imagehash.phash(image)), 16) for image in images]
    assert hashes.tolist() == expected


def test_thumbnails_are_means_of_four() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (3, 32, 32), dtype=np.uint8)
    _, thumb = looks(grey)
    expected = grey.astype(float).reshape(3, 16, 2, 16, 2).mean((2, 4)).reshape(3, 256)
    assert np.abs(thumb - expected).max() <= 0.5


def test_a_white_picture_has_a_hash() -> None:
    hashes, thumb = looks(np.full((1, 32, 32), 255, np.uint8))
    assert hashes.dtype == np.uint64
    assert (thumb == 255).all()
