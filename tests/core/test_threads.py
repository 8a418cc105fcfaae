from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from sightline.core.threads import in_threads


def test_threads_keep_order_and_do_not_run_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = in_threads(lambda number: number, items(), 2)
    assert next(results) == 0
    assert len(taken) == 9
    assert list(results) == list(range(1, 100))


def test_work_goes_on_while_the_one_handed_out_is_used() -> None:
    finished: list[int] = []

    def work(item: int) -> int:
        finished.append(item)
        return item

    results = in_threads(work, range(10), 2, ahead=3)
    assert next(results) == 0
    deadline = time.monotonic() + 5
    while len(finished) < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert sorted(finished) == [0, 1, 2, 3]
    assert list(results) == list(range(1, 10))


def test_closing_leaves_no_thread() -> None:
    results = in_threads(lambda item: item, range(100), 2)
    next(results)
    before = [thread for thread in threading.enumerate() if thread.name.startswith("sightline")]
    results.close()
    assert before
    assert not [thread for thread in before if thread.is_alive()]
