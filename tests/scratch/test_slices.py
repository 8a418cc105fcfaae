"""Work in slices: each once, in order, in threads that carry what the caller said; and lines of many pixels."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from sightline.scratch.functional import slices
from sightline.scratch.functional.lines import along, channel_sums, column_sums, lines
from sightline.scratch.functional.slices import SLICE, in_slices


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on three processors."""
    monkeypatch.setattr(slices, "_processors", lambda: 3)
    slices._threads.cache_clear()
    yield
    slices._threads().shutdown()
    slices._threads.cache_clear()


def places(part: slice) -> list[int]:
    return list(range(part.start, part.stop))


@pytest.mark.parametrize(("count", "each", "expected"), [
    (10, 1, 1), (2, SLICE, 2), (3, SLICE, 3), (7, SLICE // 4, 3), (100, SLICE // 10, 12), (0, SLICE, 1),
])  # fmt: skip
def test_every_thing_is_in_one_slice(three: None, count: int, each: int, expected: int) -> None:
    found = in_slices(places, count, each)
    assert [place for part in found for place in part] == list(range(count))
    assert len(found) == expected  # as many for each of three, where there is enough


def test_threads_work_at_once(three: None) -> None:
    together = threading.Barrier(3, timeout=20)
    names = in_slices(lambda part: (together.wait(), threading.current_thread())[1], 3, SLICE)
    assert len(set(names)) == 3
    assert threading.current_thread() in names


def test_what_the_caller_said_holds_in_every_thread(three: None) -> None:
    together = threading.Barrier(3, timeout=20)

    def overflow(part: slice) -> None:
        together.wait()
        np.float32(3e38) * np.float32(3e38)

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")
        in_slices(overflow, 3, SLICE)
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        in_slices(overflow, 3, SLICE)


@pytest.mark.parametrize("callers", [True, False])
def test_a_mistake_in_any_thread_is_told_when_all_have_ended(three: None, callers: bool) -> None:
    together, running = threading.Barrier(3, timeout=20), []

    def work(part: slice) -> None:
        together.wait()
        running.append(part)
        try:
            if (threading.current_thread() is threading.main_thread()) == callers:
                raise ValueError("here")
            time.sleep(0.1)
        finally:
            running.remove(part)

    with pytest.raises(ValueError, match="here"):
        in_slices(work, 3, SLICE)
    assert not running
    begun = []

    def first_fails(part: slice) -> None:
        begun.append(part)
        raise ValueError("here")

    with pytest.raises(ValueError, match="here"):
        in_slices(first_fails, 60, SLICE)
    assert len(begun) <= 3  # one in each thread, and no other
    assert in_slices(places, 3, SLICE) == [[0], [1], [2]]  # the threads go on


def test_callers_at_once_each_get_their_own(three: None) -> None:
    found: dict[int, list[list[int]]] = {}

    def call(number: int) -> None:
        for _ in range(20):
            found[number] = in_slices(lambda part: [number * place for place in places(part)], 50, SLICE)

    callers = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    for number in range(4):
        assert [place for part in found[number] for place in part] == [number * place for place in range(50)]


@pytest.mark.parametrize("shape", [(8, 4, 4, 16), (2, 3, 5, 3), (1, 7, 7, 2048), (0, 4, 4, 16), (6, 10), (5, 1)])
def test_lines_hold_the_same_numbers(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape)
    of, channels = lines(x), shape[-1]
    assert np.shares_memory(of, x) or not x.size
    assert np.array_equal(of.reshape(shape), x)
    assert of.shape[1] % channels == 0
    values = np.arange(channels, dtype=float)
    assert np.array_equal((of + along(values, of)).reshape(shape), x + values)
    np.testing.assert_allclose(
        channel_sums([column_sums(of)], channels), x.reshape(-1, channels).sum(0), rtol=1e-12, atol=1e-12
    )


def test_lines_are_long_where_channels_are_few() -> None:
    assert lines(np.zeros((8, 32, 32, 16))).shape == (128, 1024)
    assert lines(np.zeros((8, 32, 32, 24))).shape == (256, 768)
    assert lines(np.zeros((3, 7, 7, 16))).shape == (147, 16)
