"""Clients of an HTTP service, light enough to leave the processors to it: plain sockets, connections kept open."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

BOUNDARY = b"--a boundary that no picture holds--"


@dataclass
class Answers:
    """What came back: seconds of every request by its status (0 where none came), and how long the whole took."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    wall_s: float = 0.0

    def add(self, status: int, seconds: float) -> None:
        """One more."""
        self.seconds.setdefault(status, []).append(seconds)

    def count(self, status: int) -> int:
        """How many had that status."""
        return len(self.seconds.get(status, ()))

    @property
    def good_per_s(self) -> float:
        """Requests answered well, a second."""
        return self.count(200) / self.wall_s

    def ms(self, percentile: float, status: int = 200) -> float:
        """A percentile of the milliseconds of those with that status."""
        return 1000 * float(np.percentile(self.seconds[status], percentile))


def raw(path: str, picture: bytes) -> bytes:
    """The file itself, as bytes on the wire."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
    )
    return head.encode() + picture


def form(path: str, picture: bytes) -> bytes:
    """A form with one file, as bytes on the wire."""
    part = b'--%s\r\nContent-Disposition: form-data; name="request"; filename="a.jpg"\r\n' % BOUNDARY
    body = part + b"Content-Type: image/jpeg\r\n\r\n" + picture + b"\r\n--%s--\r\n" % BOUNDARY
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Content-Type: multipart/form-data; boundary=" + BOUNDARY + b"\r\n\r\n" + body


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> int:
    """The status of the answer to `data`, read whole."""
    writer.write(data)
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
    await reader.readexactly(length)
    return int(lines[0].split()[1])


async def closed(port: int, requests: Sequence[bytes], clients: int, total: int) -> Answers:
    """`total` requests by `clients` that each wait for an answer before they ask again."""
    answers, left = Answers(), iter(range(total))

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in left:
            began = time.perf_counter()
            answers.add(await _ask(reader, writer, requests[number % len(requests)]), time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    answers.wall_s = time.perf_counter() - began
    return answers


async def opened(port: int, requests: Sequence[bytes], per_s: float, seconds: float) -> Answers:
    """Requests that come `per_s` at drawn moments, whatever became of those before, for `seconds`."""
    answers = Answers()
    free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    gaps = np.random.default_rng(0).exponential(1 / per_s, int(per_s * seconds))

    async def ask(number: int) -> None:
        began = time.perf_counter()
        try:
            reader, writer = free.pop() if free else await asyncio.open_connection("127.0.0.1", port)
            status = await _ask(reader, writer, requests[number % len(requests)])
            free.append((reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            status = 0
        answers.add(status, time.perf_counter() - began)

    began = time.perf_counter()
    tasks = []
    for number, moment in enumerate(np.cumsum(gaps)):
        await asyncio.sleep(max(0.0, began + moment - time.perf_counter()))
        tasks.append(asyncio.create_task(ask(number)))
    answers.wall_s = time.perf_counter() - began
    await asyncio.gather(*tasks)
    return answers
