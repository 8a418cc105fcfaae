"""What the service needs, measured: it is started as it will be deployed, on one processor, and asked its own pictures.

The pictures are the Bundle's golden ones, enlarged to a megapixel, as JPEG. Processor time is counted, not wall time,
so that a machine that does other things beside gives the same answer.
"""

from __future__ import annotations

import http.client
import io
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import psutil
from PIL import Image

from sightline.bundle import GOLDEN, read_golden
from sightline.core.errors import UserError, named

ONE_PROCESSOR = (
    "import os; hasattr(os, 'sched_setaffinity') and os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
    "from sightline.cli import main; main()"
)
SETTINGS = ("SIGHTLINE_RUN", "SIGHTLINE_INDEX", "SIGHTLINE_API_KEY", "SIGHTLINE_HOST", "PORT", "AIP_HTTP_PORT")
QUIET = {"ORT_DISABLE_TELEMETRY": "1"}  # as in the image: ONNX Runtime keeps and sends nothing
SIDE = 1024  # pixels of the pictures that are sent
LARGE = (4096, 3052)  # pixels of the large one, 12.5 million
CLIENTS, SECONDS = 4, 1.0  # that ask at a time, and for how long
PATIENCE_S = 120  # for a service that does not begin


@dataclass(frozen=True)
class Measured:
    """One process of the service on one processor.

    `start_s` until it was ready; `request_cpu_s` of a processor for a picture of a megapixel; `peak_bytes` of memory
    while it was asked those, and `picture_bytes` beyond that for the largest picture it takes, for each processor that
    decodes one. `held_bytes` of requests may be in memory, and a request may take `patience_s`; both as it says itself.
    """

    start_s: float
    request_cpu_s: float
    peak_bytes: int
    picture_bytes: int
    held_bytes: int
    patience_s: float

    @property
    def requests_per_s(self) -> float:
        """Pictures of a megapixel that one processor answers in a second."""
        return 1 / self.request_cpu_s


def measure(bundle: Path, index: Path | None = None) -> Measured:
    """Serve the Bundle, with the Index where there is one, for some seconds on a port of this machine.

    UserError, with the service's own words, when it does not begin or does not answer.
    """
    pictures = golden_jpegs(bundle)
    large = io.BytesIO()
    Image.new("RGBA", LARGE, (200, 100, 50, 128)).save(large, "PNG", compress_level=1)  # what takes most memory
    with _served(bundle, index) as service:
        limits = json.loads(_ask(service.port, "GET", "/model"))["limits"]
        if index:
            _ask(service.port, "POST", "/similar", pictures[0], ok=(200, 422))  # 422: nothing is like that picture
        request_cpu_s = _asked(service, pictures)
        peak_bytes, before = service.peak.bytes, service.process.memory_info().rss
        with _Peak(service.process) as with_large:
            _ask(service.port, "POST", "/predict", large.getvalue())
    grown = max(0, with_large.bytes - before)
    return Measured(
        start_s=service.start_s,
        request_cpu_s=request_cpu_s,
        peak_bytes=peak_bytes,
        picture_bytes=round(grown * limits["pixels"] / (LARGE[0] * LARGE[1])),
        held_bytes=limits["held_bytes"],
        patience_s=limits["receive_s"] + limits["timeout_s"],
    )


def golden_jpegs(bundle: Path) -> list[bytes]:
    """The golden pictures of the Bundle at `bundle`, a megapixel each, as JPEG."""
    images, _ = read_golden(bundle / GOLDEN)
    files = []
    for image in images:
        picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).resize((SIDE, SIDE))
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files


@dataclass(frozen=True)
class _Served:
    port: int
    process: psutil.Process
    start_s: float
    peak: _Peak


@contextmanager
def _served(bundle: Path, index: Path | None) -> Iterator[_Served]:
    """The service, ready, in a process of its own that ends with the block."""
    command = [sys.executable, "-c", ONE_PROCESSOR, "serve", str(bundle), "--host", "127.0.0.1", "--port", "0"]
    command += ["--index", str(index)] if index else []
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS} | QUIET
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as said, subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True, env=environment
    ) as started:  # fmt: skip
        late = threading.Timer(PATIENCE_S, started.kill)
        late.start()
        try:
            process = psutil.Process(started.pid)
            with _Peak(process) as peak:
                port = _port(started, said)
                _ask(port, "GET", "/readyz")
                late.cancel()
                yield _Served(port, process, time.monotonic() - began, peak)
        finally:
            late.cancel()
            started.kill()


def _port(started: subprocess.Popen[str], said: IO[str]) -> int:
    """Where the service listens, once it says so; UserError with what it says when it ends instead."""
    assert started.stdout
    *_, port = started.stdout.readline().rpartition(":")
    if not port:
        started.wait()
        raise UserError(_last_line(said) or "the service did not begin: try `sightline serve` with this run")
    return int(port)


def _last_line(said: IO[str]) -> str:
    said.seek(0)
    lines = said.read().splitlines()
    return lines[-1].removeprefix("error: ") if lines else ""


def _ask(port: int, method: str, path: str, body: bytes | None = None, ok: Sequence[int] = (200,)) -> bytes:
    """The body of an answer; UserError when it is none that was hoped for."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, {"content-type": "application/octet-stream"})
        answer = connection.getresponse()
        said = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f"the service broke off at {path} ({named(str(error))}): try `sightline serve`") from None
    finally:
        connection.close()
    if answer.status not in ok:
        raise UserError(f"the service answered {answer.status} at {path}: {named(said.decode(errors='replace'))[:200]}")
    return said


def _asked(service: _Served, pictures: Sequence[bytes]) -> float:
    """Seconds of a processor a picture takes, the service asked by several clients at a time."""
    until = time.monotonic() + SECONDS

    def client(first: int) -> int:
        for number in itertools.count(1):
            _ask(service.port, "POST", "/predict", pictures[(first + number) % len(pictures)])
            if time.monotonic() > until:
                return number
        raise AssertionError

    before = sum(service.process.cpu_times()[:2])
    with ThreadPoolExecutor(CLIENTS) as pool:
        count = sum(pool.map(client, range(CLIENTS)))
    return float(max(sum(service.process.cpu_times()[:2]) - before, 0.001) / count)


class _Peak:
    """The most memory that another process holds while inside, sampled."""

    def __init__(self, process: psutil.Process) -> None:
        self.bytes = 0
        self._process, self._stop = process, threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        with suppress(psutil.Error):
            while True:
                self.bytes = max(self.bytes, self._process.memory_info().rss)
                if self._stop.wait(0.005):
                    return
