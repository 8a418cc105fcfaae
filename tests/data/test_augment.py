"""What holds for every distortion: seeded, nothing at strength zero, uint8, labels kept, alone as among others."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.augment import DISTORTIONS, PRESETS, Augment, Distortion, Mixing, in_full
from sightline.data.augment.distortion import as_bytes
from sightline.data.augment.movements import PaddedCrop, Rotation
from tests.data.distorted import ALONE, CLASSES, batch, distorted, labels, setting

every = pytest.mark.parametrize("kind", DISTORTIONS.values(), ids=lambda kind: kind.name)
alone = pytest.mark.parametrize("kind", ALONE, ids=lambda kind: kind.name)
shown = [setting(kind, place) for kind in DISTORTIONS.values() for place in range(len(kind.shown))]


@every
def test_a_seed_repeats_a_batch_and_another_does_not(kind: type[Distortion]) -> None:
    entry = setting(kind, -1, p=0.5)
    assert torch.equal(distorted(batch(), entry), distorted(batch(), entry))
    assert not torch.equal(distorted(batch(), entry), distorted(batch(), entry, seed=(1, 2, 4)))


@every
@pytest.mark.parametrize("size", [1, 2, 3, 15, 16])
def test_strength_zero_changes_no_pixel_and_no_label(kind: type[Distortion], size: int) -> None:
    images = batch(size=size)
    after, targets = Augment([setting(kind, 0)], CLASSES)(images, labels(), (7,))
    assert torch.equal(after, images)
    assert torch.equal(targets if targets.ndim == 1 else targets.argmax(1), labels())
    assert targets.ndim == 1 or torch.equal(targets.amax(1), torch.ones(8))


@given(
    st.sampled_from(shown), st.integers(1, 9), st.integers(1, 12), st.sampled_from([1, 3]), st.integers(0, 2**32 - 1)
)
def test_any_batch_stays_one_of_the_same_form(
    entry: Distortion, count: int, size: int, channels: int, seed: int
) -> None:
    if entry.needs_colour and channels == 1:
        return
    images = batch(count, size, channels)
    after, targets = Augment([entry], CLASSES)(images, labels(count), (seed,))
    assert (after.shape, after.dtype) == (images.shape, torch.uint8)
    assert len(targets) == count


def test_values_are_cut_off_at_black_and_white_and_do_not_run_over() -> None:
    assert as_bytes(torch.tensor([-0.1, 0.0, 0.5, 1.0, 1.2])).tolist() == [0, 0, 128, 255, 255]
    for kind in ("brightness", "pca_colour"):
        white = torch.full((400, 3, 8, 8), 255, dtype=torch.uint8)
        red = distorted(white, setting(DISTORTIONS[kind], -1))[:, 0].flatten(1)
        assert 0.4 < (red == 255).all(1).float().mean() < 0.6  # made brighter, it is as white as before
        assert torch.equal(red.amin(1), red.amax(1))


@alone
def test_a_picture_keeps_its_place_and_nothing_of_another(kind: type[Distortion]) -> None:
    """The label goes with it: what becomes of a picture is the same whatever the others of the batch are."""
    entry, images = setting(kind, -1), batch()
    other = batch(seed=1)
    for place in (0, 5):
        other[place] = images[place]
    one, two = distorted(images, entry), distorted(other, entry)
    for place in range(8):
        assert torch.equal(one[place], two[place]) == (place in (0, 5)), place
    assert torch.equal(Augment([entry], CLASSES)(images, labels(), (1,))[1], labels())


@every
def test_alone_it_is_what_it_is_among_others(kind: type[Distortion]) -> None:
    entry = setting(kind, -1)
    images = batch()
    others = [setting(other, 0) for other in ALONE]
    mixing = [setting(other, 0) for other in DISTORTIONS.values() if issubclass(other, Mixing)]
    among = [*others, entry, *mixing] if issubclass(kind, Mixing) else [*others[:4], entry, *others[4:], *mixing]
    twins = sum(other.name == entry.name for other in among[: among.index(entry)])
    before = [setting(kind, 0)] * twins
    assert torch.equal(distorted(images, *among), distorted(images, *before, entry))


def test_several_befall_a_picture_in_their_order() -> None:
    smooth = torch.nn.functional.interpolate(batch(size=4).float(), 32, mode="bilinear").to(torch.uint8)
    chain = [
        setting(DISTORTIONS[name], 1) for name in ("rotation", "scale_jitter", "contrast", "shear", "elastic", "blur")
    ]
    stepwise = smooth
    for entry in chain:
        stepwise = distorted(stepwise, entry)
    apart = (distorted(smooth, *chain).float() - stepwise.float()).abs()
    assert apart.mean() < 1.5  # one resampling of several movements is sharper than one of each
    backwards = (distorted(smooth, *reversed(chain)).float() - stepwise.float()).abs()
    assert backwards.mean() > 3 * apart.mean()


def test_two_of_a_name_draw_differently() -> None:
    once, twice = Rotation(degrees=30), [Rotation(degrees=30), Rotation(degrees=0)]
    assert torch.equal(distorted(batch(), once), distorted(batch(), *twice))
    assert not torch.equal(distorted(batch(), once), distorted(batch(), *reversed(twice)))


@every
def test_it_befalls_the_share_p(kind: type[Distortion]) -> None:
    images = batch(count=400, size=8)
    for p in (0.0, 0.3):
        after = distorted(images, setting(kind, -1, p=p))
        touched = (after != images).flatten(1).any(1).float().mean()
        assert touched <= p + 0.08
        assert touched >= p * 0.5  # RandAugment may draw identity twice, cutmix a box that is cut off


@every
def test_nothing_is_drawn_from_and_nothing_done_to_the_generators_of_others(kind: type[Distortion]) -> None:
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        before = torch.random.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[index]
        results.append(distorted(batch(), setting(kind, -1)))
        assert torch.equal(torch.random.get_rng_state(), before[0])
        assert np.random.get_state()[1].tolist() == before[1]  # type: ignore[index]
    assert torch.equal(*results)


def test_threads_change_no_bit() -> None:
    """Beside a training or alone, on one processor or on two."""
    augment = Augment([setting(kind, -1, p=0.5) for kind in DISTORTIONS.values()], CLASSES)
    images, before = batch(64, 64), torch.get_num_threads()
    found: list[Any] = []

    def work(threads: int) -> None:
        torch.set_num_threads(threads)
        found.append(augment(images, labels(64), (5,)))

    try:
        for threads in (1, 2):
            work(threads)
            thread = threading.Thread(target=work, args=(threads,))
            thread.start()
            thread.join()
    finally:
        torch.set_num_threads(before)
    for pictures, targets in found[1:]:
        assert torch.equal(pictures, found[0][0])
        assert torch.equal(targets, found[0][1])


def test_without_distortions_the_batch_is_the_same() -> None:
    images = batch()
    assert distorted(images) is images


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_works_on_colour_and_on_grey(name: str) -> None:
    for channels in (1, 3):
        images = batch(32, channels=channels)
        after = distorted(images, *in_full(name))
        assert (after.shape, after.dtype) == (images.shape, torch.uint8)
        assert torch.equal(after, images) == (name == "none")


def test_mirror_and_crop_are_gathered_and_equal_what_is_resampled() -> None:
    images, entries = batch(64), in_full("standard")
    assert torch.equal(distorted(images, *entries), distorted(images, *entries, Rotation(degrees=0)))
    assert torch.equal(distorted(images, *entries), distorted(images, *entries, PaddedCrop(margin=0)))
