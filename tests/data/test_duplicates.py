from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from sightline.data import duplicates, perceptual
from sightline.data.audit import audit_array
from sightline.data.binary import read_arrays
from sightline.data.duplicates import exact_groups, join, near_groups
from tests.data.made import encoded, picture


def groups_of(images: list[Image.Image]) -> list[int]:
    hashes, thumbs = perceptual.looks(np.stack([perceptual.small(image) for image in images]))
    return near_groups(hashes, thumbs, np.asarray([min(image.size) for image in images])).tolist()


@given(st.lists(st.integers(0, 5), max_size=30))
def test_exact_groups_are_first_occurrences(contents: list[int]) -> None:
    hashes = np.zeros((len(contents), 32), np.uint8)
    for row, content in enumerate(contents):
        hashes[row, 31 - content] = 1
    assert exact_groups(hashes).tolist() == [contents.index(content) for content in contents]


@given(st.integers(1, 12), st.data())
def test_join_finds_connected_parts(count: int, data: st.DataObject) -> None:
    pairs = data.draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=12))
    expected = list(range(count))
    for _ in range(count):
        for a, b in pairs:
            expected[a] = expected[b] = min(expected[a], expected[b])
    half = len(pairs) // 2
    group = np.arange(count, dtype=np.int32)
    for part in (pairs[:half], pairs[half:]):
        group = join(group, np.asarray(part, np.int64).reshape(-1, 2))
    assert group.tolist() == expected


def altered(image: Image.Image) -> dict[str, Image.Image]:
    """What happens to a picture that is passed on."""
    width, height = image.size
    cut_x, cut_y = round(width * 0.005), round(height * 0.005)
    return {
        "saved at quality 30": Image.open(io.BytesIO(encoded(image, quality=30))),
        "halved": image.resize((width // 2, height // 2)),
        "brighter": ImageEnhance.Brightness(image).enhance(1.1),
        "less contrast": ImageEnhance.Contrast(image).enhance(0.8),
        "grey": image.convert("L"),
        "cut by 1 %": image.crop((cut_x, cut_y, width - cut_x, height - cut_y)),
    }


def photos(archive: zipfile.ZipFile, count: int) -> list[Image.Image]:
    names = sorted(archive.namelist())
    chosen = np.random.default_rng(0).permutation(len(names))[:count]
    return [Image.open(io.BytesIO(archive.read(names[i]))).convert("RGB") for i in chosen]


def test_altered_photos_are_found_and_no_others(shared: Callable[[str], Path]) -> None:
    with zipfile.ZipFile(str(shared("data/clothing/clothing_subset.zip"))) as archive:
        originals = photos(archive, 60)
    ways = list(altered(originals[0]))
    images = [*originals, *(altered(image)[way] for way in ways for image in originals)]
    groups = np.asarray(groups_of(images))
    own = np.tile(np.arange(60), len(ways) + 1)
    assert not (groups != own)[:60].any(), "two different photos were taken for one"
    missed = {way: int((groups != own)[60 * (i + 1) : 60 * (i + 2)].sum()) for i, way in enumerate(ways)}
    assert sum(missed.values()) <= 4, missed
    assert max(missed.values()) <= 2, missed


def test_made_pictures_are_nobodys_near_copy() -> None:
    images = [picture(seed) for seed in range(200)]
    assert groups_of(images) == list(range(200))
    again = [Image.open(io.BytesIO(encoded(image, quality=60))) for image in images]
    assert groups_of([*images, *again]) == list(range(200)) * 2


def test_flat_pictures_are_no_near_copies() -> None:
    images = [Image.new("RGB", (64, 64), (shade, shade, shade)) for shade in range(100, 110)]
    noisy = [Image.fromarray(np.random.default_rng(n).integers(250, 256, (64, 64), dtype=np.uint8)) for n in range(10)]
    assert groups_of(images + noisy) == list(range(20))


def test_mnist_digits_are_no_near_copies(shared: Callable[[str], Path]) -> None:
    arrays = read_arrays(shared("data/mnist"))
    assert arrays is not None
    found = audit_array(arrays.images[:20_000])
    groups = near_groups(found.phash, found.thumb, np.minimum(found.width, found.height))
    assert (groups == np.arange(20_000)).all()


@pytest.mark.parametrize("kind", ["white", "one picture", "one hash"])
def test_work_does_not_explode_on_degenerate_data(kind: str) -> None:
    """Eight times the rows take far less than 64 times as long: pairs are never all looked at."""

    def seconds(count: int) -> float:
        generator = np.random.default_rng(0)
        hashes = np.full(count, 12345, np.uint64)
        if kind == "white":
            thumbs = np.full((count, 256), 255, np.uint8)
        elif kind == "one picture":
            thumbs = np.tile(generator.integers(0, 256, 256, dtype=np.uint8), (count, 1))
        else:
            thumbs = generator.integers(0, 256, (count, 256), dtype=np.uint8)
        start = time.process_time()
        groups = near_groups(hashes, thumbs, np.full(count, 64))
        assert len(np.unique(groups)) == (1 if kind == "one picture" else count)
        return time.process_time() - start

    seconds(1_000)
    assert seconds(8_000) < 24 * max(seconds(1_000), 0.01)


def test_a_pair_is_found_among_many() -> None:
    """A near copy four bits away among 100,000 others; nine of ten at least."""
    generator = np.random.default_rng(0)
    count, pairs = 100_000, 200
    hashes = generator.integers(0, 2**63, count, dtype=np.uint64)
    thumbs = generator.integers(0, 256, (count, 256), dtype=np.uint8)
    thumbs[pairs : 2 * pairs] = thumbs[:pairs]
    for row in range(pairs):
        bits = generator.choice(64, 4, replace=False).astype(np.uint64)
        hashes[pairs + row] = hashes[row] ^ np.bitwise_or.reduce(np.uint64(1) << bits)
    groups = near_groups(hashes, thumbs, np.full(count, 64))
    found = groups[pairs : 2 * pairs] == np.arange(pairs)
    assert found.mean() > 0.9
    assert (groups[2 * pairs :] == np.arange(2 * pairs, count)).all()
    assert duplicates.BITS_APART >= 4
