"""Labels are mixed in exactly the shares in which the pixels are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.augment import Augment
from sightline.data.augment.mixing import Cutmix, Mixup

LEVELS = torch.tensor([0, 60, 120, 180, 240])  # what pictures of each class are filled with


def mixed(entries: list[Mixup | Cutmix], count: int, size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of one-coloured pictures, mixed, and its shares."""
    labels = torch.arange(count) % 5
    images = LEVELS[labels].to(torch.uint8).view(-1, 1, 1, 1).expand(count, 3, size, size)
    return Augment(entries, 5)(images, labels, (seed,))


alphas, counts, sizes = st.floats(0.05, 10), st.integers(1, 40), st.integers(1, 24)


@given(alphas, st.floats(0, 1), counts, sizes, st.integers(0, 2**32 - 1))
def test_cutmix_labels_are_the_counted_pixels(alpha: float, p: float, count: int, size: int, seed: int) -> None:
    images, shares = mixed([Cutmix(alpha=alpha, p=p)], count, size, seed)
    for number, level in enumerate(LEVELS):
        counted = (images[:, 0] == level).float().mean((1, 2))
        assert torch.allclose(shares[:, number], counted, atol=1e-6)


@given(alphas, st.floats(0, 1), counts, sizes, st.integers(0, 2**32 - 1))
def test_mixup_labels_are_the_shares_of_the_light(alpha: float, p: float, count: int, size: int, seed: int) -> None:
    images, shares = mixed([Mixup(alpha=alpha, p=p)], count, size, seed)
    assert torch.allclose(shares.sum(1), torch.ones(count))
    assert ((shares > 0).sum(1) <= 2).all()
    expected = (shares * LEVELS).sum(1)
    assert (images.float() - expected.view(-1, 1, 1, 1)).abs().max() <= 0.5 + 1e-3


@given(counts, sizes, st.integers(0, 2**32 - 1))
def test_one_after_the_other_the_shares_still_say_what_is_seen(count: int, size: int, seed: int) -> None:
    images, shares = mixed([Mixup(p=0.5), Cutmix(p=0.5)], count, size, seed)
    assert torch.allclose(shares.sum(1), torch.ones(count))
    assert (images.float().mean((1, 2, 3)) - (shares * LEVELS).sum(1)).abs().max() <= 0.5 + 1e-2


@pytest.mark.parametrize("kind", [Mixup, Cutmix])
def test_the_share_comes_from_the_beta_distribution(kind: type[Mixup] | type[Cutmix]) -> None:
    """Of a share from Beta(a, a) the variance is 1 / (4 (2 a + 1)); cutmix loses what lies outside."""
    for alpha in (0.2, 1.0, 8.0):
        _, shares = mixed([kind(alpha=alpha)], 5000, 16, 0)
        own = shares[torch.arange(5000), torch.arange(5000) % 5].numpy()
        own = own[(shares > 0).sum(1).numpy() == 2] if kind is Mixup else own
        if kind is Mixup and alpha >= 1:
            assert own.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)
        assert 0.4 < own.mean() < 0.8


def test_cutmix_boxes_are_squares_that_may_be_cut_off_at_the_border() -> None:
    images, shares = mixed([Cutmix()], 400, 32, 1)
    labels = torch.arange(400) % 5
    cut = 0
    for image, label, share in zip(images[:, 0], labels, shares, strict=True):
        other = image != LEVELS[label]
        if not other.any():
            continue
        rows, columns = (torch.nonzero(other.any(axis)).flatten() for axis in (1, 0))
        height, width = int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)
        assert height * width == int(other.sum())
        assert float(share[label]) == pytest.approx(1 - height * width / 32**2)
        touches = 0 in (rows[0], columns[0]) or 31 in (rows[-1], columns[-1])
        assert height == width or touches
        cut += height != width
    assert cut > 20


def test_noone_is_mixed_where_alpha_is_zero_and_all_are_where_it_is_not() -> None:
    for kind in (Mixup, Cutmix):
        _, none = mixed([kind(alpha=0)], 50, 8, 0)
        assert torch.equal(none, torch.nn.functional.one_hot(torch.arange(50) % 5, 5).float())
        _, some = mixed([kind(alpha=2)], 50, 8, 0)
        assert (np.asarray(some.amax(1)) < 1).mean() > 0.6
