from __future__ import annotations

import pytest
import torch

from sightline.data.augment import reads_mirrored, standard


def pictures(size: int = 16) -> torch.Tensor:
    return torch.rand(64, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_a_seed_repeats_a_batch_and_another_does_not() -> None:
    augment = standard(16, mirror=True, crop=True)
    batches = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        batches.append(augment(pictures()))
    assert torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[0], batches[2])


def test_the_mirror_mirrors_about_half_and_nothing_else() -> None:
    torch.manual_seed(0)
    before, after = pictures(), standard(16, mirror=True, crop=False)(pictures())
    mirrored = [torch.equal(b, a.flip(-1)) for a, b in zip(before, after, strict=True)]
    same = [torch.equal(b, a) for a, b in zip(before, after, strict=True)]
    assert all(m != s for m, s in zip(mirrored, same, strict=True))
    assert 16 < sum(mirrored) < 48


def test_the_crop_shifts_by_at_most_an_eighth_and_keeps_pixels_exact() -> None:
    torch.manual_seed(0)
    before, after = pictures(), standard(16, mirror=False, crop=True)(pictures())
    padded = torch.nn.functional.pad(before, (2, 2, 2, 2), mode="reflect")
    shifts = set()
    for whole, cut in zip(padded, after, strict=True):
        found = [(y, x) for y in range(5) for x in range(5) if torch.equal(whole[:, y : y + 16, x : x + 16], cut)]
        assert found
        shifts.add(found[0])
    assert len(shifts) > 10


def test_without_distortions_the_batch_is_the_same() -> None:
    batch = pictures()
    assert standard(16, mirror=False, crop=False)(batch) is batch


@pytest.mark.parametrize(
    ("classes", "mirrored"), [("0123456789", False), ("abc", False), (("cat", "dog"), True), (("1", "ten"), True)]
)
def test_letters_and_digits_do_not_read_mirrored(classes: tuple[str, ...], mirrored: bool) -> None:
    assert reads_mirrored(tuple(classes)) is mirrored
