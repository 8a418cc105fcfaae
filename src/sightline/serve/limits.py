"""What a service takes on: how much a request may bring, how long it may take, how many pictures may wait."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Beyond these a request is refused, at once and by name.

    `body_bytes` and `files` a request, `pixels` a picture; `receive_s` for a request to arrive, `timeout_s` from its
    first byte until its answer. `waiting` pictures may be decoded, queued or run at a time, `held_bytes` of requests be
    in memory: both should have room for one whole request. A batch is of up to `batch` pictures and waits for others
    that are on their way for `delay_s` at most.
    """

    body_bytes: int = 32 << 20
    files: int = 64
    pixels: int = 50_000_000
    receive_s: float = 20.0
    timeout_s: float = 30.0
    waiting: int = 128
    held_bytes: int = 256 << 20
    batch: int = 16
    delay_s: float = 0.0


class Refused(Exception):
    """A request that is not answered: an HTTP `status`, and what to do about it."""

    def __init__(self, status: int, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after_s = status, retry_after_s


def full() -> Refused:
    """There is no room for a request now."""
    return Refused(503, "all places are taken: try again in a second", retry_after_s=1)


def late() -> Refused:
    """The time of a request is over."""
    return Refused(504, "not answered in time: try again, or with fewer pictures")
