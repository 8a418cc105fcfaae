"""Micro-batches under random schedules: every answer its own picture's, never too many at once, none forgotten."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.runtime import Outputs
from sightline.serve.batcher import Batcher
from sightline.serve.limits import Limits, Refused

ONLY = ("logits",)


class Echo:
    """A graph whose logits are the picture's first number; of a picture that is 255 there, it fails."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.asked: list[Sequence[str]] = []
        self.gate = threading.Event()
        self.gate.set()

    def run(self, images: np.ndarray, *, only: Sequence[str] = ()) -> Outputs:
        assert self.gate.wait(60)
        self.sizes.append(len(images))
        self.asked.append(only)
        if (images[:, 0, 0, 0] == 255).any():
            raise RuntimeError("the graph failed")
        logits = images[:, 0, 0].astype(np.float32)
        return Outputs(logits, logits, logits)


def picture(number: int) -> np.ndarray:
    return np.full((1, 1, 1), number, np.uint8)


def carried_out(work: Callable[[Batcher, Echo], Awaitable[Any]], **limits: Any) -> Any:
    async def whole() -> Any:
        echo = Echo()
        async with Batcher(echo, Limits(**limits)) as batcher:  # type: ignore[arg-type]
            return await work(batcher, echo)

    return asyncio.run(asyncio.wait_for(whole(), 60))


async def asked(batcher: Batcher, number: int, pause: float = 0.0) -> float:
    with batcher.admit(1):
        with batcher.coming():
            await asyncio.sleep(pause)
        outputs, row = await batcher.answer(picture(number), ONLY)
        return float(outputs.logits[row, 0])


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**16), batch=st.integers(1, 9), waiting=st.integers(1, 40), count=st.integers(1, 60),
    delay_ms=st.sampled_from([0, 1, 5]),
)  # fmt: skip
def test_every_answer_is_its_own_pictures(seed: int, batch: int, waiting: int, count: int, delay_ms: int) -> None:
    chance = random.Random(seed)
    pauses = [chance.choice([0, 0, 0.0005, 0.002]) for _ in range(count)]
    leaves = [chance.random() < 0.15 for _ in range(count)]

    async def work(batcher: Batcher, echo: Echo) -> None:
        async def one(number: int) -> str:
            assert batcher.admitted <= waiting
            try:
                said = await asked(batcher, number % 255, pauses[number])
            except Refused as refused:
                return f"refused {refused.status}"
            return "answered" if said == number % 255 else "wrong"

        tasks = []
        for number in range(count):
            tasks.append(asyncio.create_task(one(number)))
            if chance.random() < 0.5:
                await asyncio.sleep(pauses[number])
            if leaves[number]:
                chance.choice(tasks).cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(end in ("refused 503", "answered") or isinstance(end, asyncio.CancelledError) for end in ends), ends
        assert batcher.admitted == 0
        assert max(echo.sizes, default=0) <= batch
        assert sum(echo.sizes) >= ends.count("answered")
        assert await asked(batcher, 7) == 7

    carried_out(work, batch=batch, waiting=waiting, delay_s=delay_ms / 1000)


def test_what_queues_while_a_batch_runs_goes_together() -> None:
    async def work(batcher: Batcher, echo: Echo) -> list[int]:
        echo.gate.clear()
        first = asyncio.create_task(asked(batcher, 0))
        await asyncio.sleep(0.01)
        others = [asyncio.create_task(asked(batcher, number)) for number in range(1, 20)]
        await asyncio.sleep(0.01)
        echo.gate.set()
        assert await asyncio.gather(first, *others) == list(range(20))
        return echo.sizes

    assert carried_out(work, batch=16) == [1, 16, 3]


def test_pictures_that_are_on_their_way_are_waited_for_and_no_others() -> None:
    async def work(batcher: Batcher, echo: Echo) -> list[int]:
        with batcher.admit(50):  # of other requests, and already answered: nobody waits for them
            assert await asked(batcher, 1) == 1
            with batcher.coming():
                soon = asyncio.create_task(asked(batcher, 2))
                await asyncio.sleep(0.01)
                assert echo.sizes == [1]
                later = asyncio.create_task(asked(batcher, 3))
                await asyncio.sleep(0.01)
                assert echo.sizes == [1]
            assert await asyncio.gather(soon, later) == [2, 3]
        return echo.sizes

    assert carried_out(work, delay_s=600.0) == [1, 2]


def test_no_batch_waits_longer_than_the_delay() -> None:
    async def work(batcher: Batcher, echo: Echo) -> None:
        with batcher.coming():
            assert await asked(batcher, 1) == 1

    carried_out(work, delay_s=0.005)


def test_what_nobody_waits_for_is_never_run() -> None:
    async def work(batcher: Batcher, echo: Echo) -> list[int]:
        echo.gate.clear()
        first = asyncio.create_task(asked(batcher, 0))
        await asyncio.sleep(0.01)
        others = [asyncio.create_task(asked(batcher, number)) for number in range(1, 11)]
        await asyncio.sleep(0.01)
        for task in others[:8]:
            task.cancel()
        await asyncio.sleep(0)
        assert batcher.admitted == 3
        echo.gate.set()
        assert await asyncio.gather(first, *others[8:]) == [0, 9, 10]
        return echo.sizes

    assert carried_out(work, batch=4) == [1, 2]


def test_what_the_graph_raises_reaches_its_batch_alone() -> None:
    async def work(batcher: Batcher, echo: Echo) -> None:
        echo.gate.clear()
        first = asyncio.create_task(asked(batcher, 1))
        await asyncio.sleep(0.01)
        second = [asyncio.create_task(asked(batcher, number)) for number in (2, 255, 3)]
        third = [asyncio.create_task(asked(batcher, number)) for number in (4, 5, 6)]
        await asyncio.sleep(0.01)
        echo.gate.set()
        ends = await asyncio.gather(first, *second, *third, return_exceptions=True)
        assert [str(end) for end in ends] == ["1.0", *["the graph failed"] * 3, "4.0", "5.0", "6.0"]
        assert batcher.alive
        assert batcher.admitted == 0
        assert await asked(batcher, 9) == 9

    carried_out(work, batch=3)


def test_pictures_of_another_shape_reach_their_batch_alone() -> None:
    async def work(batcher: Batcher, echo: Echo) -> None:
        echo.gate.clear()
        first = asyncio.create_task(asked(batcher, 1))
        await asyncio.sleep(0.01)
        odd = asyncio.create_task(batcher.answer(np.zeros((2, 2, 1), np.uint8), ONLY))
        with_it = asyncio.create_task(asked(batcher, 3))
        await asyncio.sleep(0.01)
        echo.gate.set()
        ends = await asyncio.gather(first, odd, with_it, return_exceptions=True)
        assert [isinstance(end, ValueError) for end in ends] == [False, True, True]
        assert await asked(batcher, 9) == 9

    carried_out(work, batch=16)


def test_outputs_that_any_of_a_batch_wants_are_computed_once() -> None:
    async def work(batcher: Batcher, echo: Echo) -> Sequence[str]:
        echo.gate.clear()
        wants = [("logits",), ("embedding",), ("logits", "feature_map"), ("embedding",)]
        tasks = [asyncio.create_task(batcher.answer(picture(1), only)) for only in wants]
        await asyncio.sleep(0.01)
        echo.gate.set()
        await asyncio.gather(*tasks)
        return echo.asked[-1]

    assert carried_out(work) == ("logits", "embedding", "feature_map")


def test_nobody_is_left_waiting_when_it_ends() -> None:
    async def whole() -> list[Any]:
        echo = Echo()
        async with Batcher(echo, Limits(batch=2)) as batcher:  # type: ignore[arg-type]
            echo.gate.clear()
            tasks = [asyncio.create_task(asked(batcher, number)) for number in range(7)]
            await asyncio.sleep(0.01)
            threading.Timer(0.1, echo.gate.set).start()
        assert not batcher.alive
        tasks.append(asyncio.create_task(asked(batcher, 7)))
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)

    ends = asyncio.run(whole())
    assert [getattr(end, "status", None) for end in ends] == [503] * 8


def test_places_are_all_or_none() -> None:
    async def work(batcher: Batcher, echo: Echo) -> None:
        with batcher.admit(5):
            with pytest.raises(Refused), batcher.admit(4):
                pass
            with batcher.admit(3):
                assert batcher.admitted == 8
            assert batcher.admitted == 5
        assert batcher.admitted == 0

    carried_out(work, waiting=8)
