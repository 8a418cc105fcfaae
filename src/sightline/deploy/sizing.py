"""How large a container must be, of what was measured, in the sizes that each cloud sells.

Memory is what the service held at most while it was asked ordinary pictures, the largest picture it takes on each
processor at once, and the requests it agrees to hold; an eighth stays free. A whole processor at least: on a part of
one each answer takes as many times as long.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from sightline.core.errors import UserError
from sightline.deploy.measure import Measured

GIB, MIB = 2**30, 2**20
HEADROOM = 8 / 7
QUICK_S = 0.5  # on one processor; a picture that takes longer is given more of them
WAIT_S = 1.0  # that the last of the requests in one container may wait
MOST_AT_ONCE = 80
EVENT_BYTES = 6 * MIB  # that an event of Lambda may have
LAMBDA_PROCESSOR = 1769  # MiB of memory for which Lambda gives one processor
LAMBDA_MOST = 10_240

# (processors, GiB), by price
APP_RUNNER = ((1, 2), (1, 3), (1, 4), (2, 4), (2, 6), (4, 8), (4, 10), (4, 12))
FARGATE = (
    *((1, gib) for gib in range(2, 9)), *((2, gib) for gib in range(4, 17)), *((4, gib) for gib in range(8, 31)),
)  # fmt: skip
CONTAINER_APPS = ((1, 2), (1.25, 2.5), (1.5, 3), (1.75, 3.5), (2, 4), (2.5, 5), (3, 6), (3.5, 7), (4, 8))
CLOUD_RUN = (
    *((1, gib) for gib in (1, 1.5, 2, 3, 4)), *((2, gib) for gib in (2, 3, 4, 6, 8)),
    *((4, gib) for gib in (4, 6, 8, 12, 16)), *((8, gib) for gib in (16, 24, 32)),
)  # fmt: skip
ANYWHERE = tuple((processors, quarters / 4) for processors in (1, 2, 4, 8) for quarters in range(2, 257))
SOLD = {
    "docker": ("a container", ANYWHERE),
    "azure": ("Azure Container Apps", CONTAINER_APPS),
    "gcp": ("Cloud Run", CLOUD_RUN),
    "kubernetes": ("a pod", ANYWHERE),
    "apprunner": ("App Runner", APP_RUNNER),
    "ecs": ("Fargate", FARGATE),
}


@dataclass(frozen=True)
class Size:
    """A container: its `processors`, its memory in GiB, and the requests to send it at a time."""

    processors: float
    memory_gib: float
    at_once: int

    @property
    def memory_mib(self) -> int:
        """The same memory in MiB."""
        return round(1024 * self.memory_gib)


def needed_bytes(measured: Measured, processors: float) -> int:
    """What the service may hold on so many processors, with headroom."""
    large = measured.picture_bytes * math.ceil(processors)
    return round(HEADROOM * (measured.peak_bytes + large + measured.held_bytes))


def processors_for(measured: Measured) -> int:
    """1, 2 or 4: so many that one picture is answered in half a second, if that many suffice."""
    return next((n for n in (1, 2) if measured.request_cpu_s <= QUICK_S * n), 4)


def choose(measured: Measured, where: str) -> Size:
    """The first of the sizes sold `where`, a key of SOLD, that is large enough; UserError when none is."""
    name, sizes = SOLD[where]
    return _first(measured, name, sizes)


def _first(measured: Measured, name: str, sizes: Iterable[tuple[float, float]]) -> Size:
    least = processors_for(measured)
    needed = 0
    for processors, gib in sizes:
        needed = needed_bytes(measured, processors)
        if processors >= least and gib * GIB >= needed:
            return Size(processors, gib, at_once(measured, processors))
    raise UserError(f"the service needs {needed / 1e9:.1f} GB of memory, {name} has no such size: deploy it elsewhere")


def at_once(measured: Measured, processors: float) -> int:
    """How many requests one container should be sent at a time: those it answers in a second, 1 to 80."""
    return max(1, min(MOST_AT_ONCE, round(WAIT_S * processors * measured.requests_per_s)))


def choose_lambda(measured: Measured) -> Size:
    """A Lambda function, which is given one event at a time; UserError when no memory that is sold suffices."""
    room = 4 * EVENT_BYTES  # the event, its text, the body and what is decoded of it
    needed = math.ceil(HEADROOM * (measured.peak_bytes + measured.picture_bytes + room) / MIB)
    if needed > LAMBDA_MOST:
        raise UserError(
            f"the service needs {needed * MIB / 1e9:.1f} GB of memory, Lambda has no such size: deploy it elsewhere"
        )
    mib = min(LAMBDA_MOST, max(needed, LAMBDA_PROCESSOR * processors_for(measured)))
    return Size(mib / LAMBDA_PROCESSOR, mib / 1024, 1)
