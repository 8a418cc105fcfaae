from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.loaders import Loader


class Source:
    """Pixels that say which row they are."""

    def read(self, rows: np.ndarray) -> np.ndarray:
        return np.broadcast_to(rows.astype(np.uint8)[:, None, None, None], (len(rows), 2, 2, 3)).copy()


def loader(count: int, batch: int, **options: object) -> Loader:
    rows = np.arange(count) + 3
    return Loader(Source(), rows, (rows % 5).astype(np.int64), batch, **options)  # type: ignore[arg-type]


def seen(batches: object) -> list[int]:
    return [int(value) for images, _ in batches for value in images[:, 0, 0, 0]]  # type: ignore[attr-defined]


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_an_epoch_is_a_seeded_order_without_repeats(count: int, batch: int, epoch: int, seed: int) -> None:
    ours = loader(count, batch, shuffle=True, seed=seed)
    rows = seen(ours.epoch(epoch))
    assert rows == seen(loader(count, batch, shuffle=True, seed=seed).epoch(epoch))
    assert len(set(rows)) == len(rows) == (count // batch * batch or count)
    assert set(rows) <= set(range(3, count + 3))


@given(st.integers(1, 60), st.integers(1, 20), st.data())
def test_starting_in_the_middle_gives_the_rest(count: int, batch: int, data: st.DataObject) -> None:
    ours = loader(count, batch, shuffle=True, seed=1)
    start = data.draw(st.integers(0, ours.steps))
    assert seen(ours.epoch(2, start)) == seen(ours.epoch(2))[start * batch :]


@given(st.integers(5, 60), st.integers(1, 20), st.data())
def test_an_even_order_resumes_and_repeats(count: int, batch: int, data: st.DataObject) -> None:
    """Classes come equally often in an epoch, but for those of the last batch that is left out."""
    rows = np.arange(count)
    labels = np.minimum(rows // 2, 3)  # 2, 2, 2 and all the others
    ours, again = (Loader(Source(), rows, labels, batch, shuffle=True, even=True, seed=3) for _ in range(2))
    start = data.draw(st.integers(0, ours.steps))
    assert seen(ours.epoch(2, start)) == seen(again.epoch(2))[start * batch :]
    drawn = [int(label) for _, some in ours.epoch(2) for label in some]
    counts = np.bincount(drawn, minlength=len(np.unique(labels)))
    assert np.ptp(counts) <= 1 + (count - len(drawn))
    assert seen(ours.epoch(1)) != seen(ours.epoch(2)) or count < 8


def test_without_shuffling_every_row_comes_in_order() -> None:
    assert seen(loader(11, 4).epoch()) == list(range(3, 14))


def test_labels_go_with_their_pictures_in_channels_last_memory() -> None:
    for images, labels in loader(20, 8, shuffle=True).epoch(0):
        assert torch.equal(images[:, 0, 0, 0].long() % 5, labels)
        assert images.shape[1:] == (3, 2, 2)
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_an_error_while_reading_reaches_the_consumer() -> None:
    class Broken(Source):
        def read(self, rows: np.ndarray) -> np.ndarray:
            raise OSError("the disk went away")

    broken = Loader(Broken(), np.arange(4), np.zeros(4, np.int64), 2)
    with pytest.raises(OSError, match="the disk went away"):
        list(broken.epoch())


def test_leaving_early_ends_the_reader() -> None:
    before = threading.active_count()
    batches = loader(1000, 1).epoch()
    next(batches)
    batches.close()
    assert threading.active_count() == before


def test_what_is_prepared_knows_its_seed_epoch_and_step_and_is_done_by_the_reader() -> None:
    calls: list[tuple[int, int, int]] = []

    def prepare(
        images: torch.Tensor, labels: torch.Tensor, seed: tuple[int, int, int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append(seed)
        assert threading.current_thread() is not threading.main_thread()
        return images + 1, labels.double()

    ours = loader(20, 4, shuffle=True, seed=9, prepare=prepare)
    found = list(ours.epoch(2, start=3))
    assert calls == [(9, 2, 3), (9, 2, 4)]
    plain = list(loader(20, 4, shuffle=True, seed=9).epoch(2, start=3))
    for (images, targets), (before, labels) in zip(found, plain, strict=True):
        assert torch.equal(images, before + 1)
        assert torch.equal(targets, labels.double())


def test_the_consumer_waits_for_what_is_slow_to_prepare_and_that_is_counted() -> None:
    def slow(
        images: torch.Tensor, labels: torch.Tensor, seed: tuple[int, int, int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        time.sleep(0.02)
        return images, labels

    ours = loader(20, 4, prepare=slow)
    list(ours.epoch())
    assert ours.waited_seconds >= 0.08
