"""What a service counts, in Prometheus's form."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counts of one service."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "sightline_requests", "Requests by route and status.", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "sightline_request_seconds", "From a request's first byte to its answer.", ["route"], buckets=SECONDS,
            registry=registry,
        )  # fmt: skip
        self._pictures = Counter("sightline_pictures", "Pictures by outcome.", ["outcome"], registry=registry)
        self._stages = Histogram(
            "sightline_stage_seconds", "Of a picture: decoding it; waiting for the graph and running it.", ["stage"],
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._batch = Histogram("sightline_batch_size", "Pictures in a batch.", buckets=SIZES, registry=registry)
        self._batch_seconds = Histogram(
            "sightline_batch_seconds", "Time a batch ran.", buckets=SECONDS, registry=registry
        )

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def pictures(self, outcome: str, count: int) -> None:
        """So many pictures were answered, or could not be read."""
        if count:
            self._pictures.labels(outcome).inc(count)

    def stage(self, stage: str, seconds: float) -> None:
        """A picture passed a stage."""
        self._stages.labels(stage).observe(seconds)

    def ran(self, size: int, seconds: float) -> None:
        """A batch ran."""
        self._batch.observe(size)
        self._batch_seconds.observe(seconds)

    def gauge(self, waiting: Callable[[], int]) -> None:
        """`waiting` says how many pictures are decoded, queued or run now."""
        now = Gauge("sightline_pictures_waiting", "Pictures decoded, queued or run now.", registry=self._registry)
        now.set_function(waiting)

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self._registry)
