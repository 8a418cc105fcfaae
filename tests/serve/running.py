"""The service as its users meet it: a process or a thread that answers on a port, and the requests they send."""

from __future__ import annotations

import base64
import http.client
import io
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import uvicorn
from PIL import Image

from sightline.bundle import Bundle
from sightline.runtime import Outputs, Session
from sightline.serve.app import make_app
from sightline.serve.limits import Limits
from sightline.serve.server import reserve
from sightline.serve.service import Service
from sightline.serve.wire import Wire

PATIENCE_S = 60  # for whatever a busy machine does
PNG = "image/png"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        assert list(self.json) == ["error"], self.json
        return str(self.json["error"])


@dataclass(frozen=True)
class Client:
    """Sends requests to a port of this machine, a connection each unless it is given one."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)

    def socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = {},
        connection: http.client.HTTPConnection | None = None,
    ) -> Answer:  # fmt: skip
        once = connection or self.connect()
        try:
            once.request(method, path, body, dict(headers), encode_chunked=not isinstance(body, bytes | str | None))
            response = once.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            if not connection:
                once.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=spelled(headers))

    def post(self, path: str, body: bytes, kind: str = PNG, **headers: str) -> Answer:
        return self.ask("POST", path, body, {"Content-Type": kind, **spelled(headers)})

    def json(self, path: str, document: Any, **headers: str) -> Answer:
        return self.post(path, json.dumps(document).encode(), "application/json", **headers)

    def form(self, path: str, *files: tuple[str, bytes]) -> Answer:
        body, kind = form(*files)
        return self.post(path, body, kind)

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics by its name and labels."""
        lines = self.get("/metrics").body.decode().splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


@dataclass(frozen=True)
class Running(Client):
    """`sightline serve` as a process; `log` is what it said on standard error."""

    process: subprocess.Popen[str]
    errors: Path

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.errors.read_text().splitlines()]

    def stop(self, sent: int = signal.SIGTERM) -> int:
        self.process.send_signal(sent)
        return self.process.wait(PATIENCE_S)


def spelled(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def form(*files: tuple[str, bytes]) -> tuple[bytes, str]:
    """A form of files, and its type."""
    parts = [
        b'--limit\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n' % (name.encode(), data)
        for name, data in files
    ]
    return b"".join([*parts, b"--limit--\r\n"]), "multipart/form-data; boundary=limit"


def png(picture: np.ndarray | Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    (Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture).save(file, kind)
    return file.getvalue()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def environment(**more: str) -> dict[str, str]:
    """Ours, without what a service reads from it."""
    own = ("SIGHTLINE_RUN", "SIGHTLINE_INDEX", "SIGHTLINE_API_KEY", "PORT", "SIGHTLINE_HOST")
    kept = {name: value for name, value in os.environ.items() if name not in own and not name.startswith("AIP_")}
    return {**kept, **more}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "sightline.cli", "serve", *map(str, arguments)]


@contextmanager
def running(
    folder: Path, *arguments: str | Path, env: Mapping[str, str] = {}, port: int | None = 0
) -> Iterator[Running]:
    """A process that serves, ready; killed at the end if it still runs. Its standard error goes into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    errors = folder / f"errors-{len(list(folder.iterdir()))}.txt"
    where = [] if port is None else ["--port", str(port)]
    with errors.open("w") as file:
        process = subprocess.Popen(
            command(*arguments, *where), stdout=subprocess.PIPE, stderr=file, text=True, env=environment(**env)
        )
    try:
        assert process.stdout
        said = address(process.stdout)
        assert said, errors.read_text()
        yield Running(said, process, errors)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def address(out: IO[str]) -> int:
    """The port that a process says it serves at; 0 if it ended instead."""
    for line in out:
        if found := re.search(r" at http://127\.0\.0\.1:(\d+)$", line.strip()):
            return int(found[1])
    return 0


@contextmanager
def threaded(service: Service, key: str | None = None, **options: Any) -> Iterator[Client]:
    """`service` answering in a thread of this process, ready."""
    reserved = reserve("127.0.0.1", 0)
    opened = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            opened.set()

    app = make_app(service, key, **options)
    server = Server(uvicorn.Config(app, http=Wire, loop="uvloop", lifespan="on", log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, args=([reserved],))
    thread.start()
    try:
        assert opened.wait(PATIENCE_S)
        yield Client(reserved.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
        reserved.close()
        logging.getLogger("sightline.serve").setLevel(logging.NOTSET)


class Gate:
    """A Session that runs when it is let: `seen` are the sizes of the batches that came while it was shut."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.input_shape = session.input_shape
        self.opened, self.reached = threading.Event(), threading.Event()
        self.opened.set()
        self.seen: list[int] = []
        self.fails = False

    def run(self, images: np.ndarray, *, only: Any = Outputs._fields) -> Outputs:
        if images.any():  # what warms is let through
            self.seen.append(len(images))
            self.reached.set()
            assert self.opened.wait(PATIENCE_S)
            if self.fails:
                raise RuntimeError("the graph failed")
        return self._session.run(images, only=only)


def gated(bundle: Bundle, **limits: Any) -> tuple[Service, Gate]:
    """A service whose graph waits until its gate is opened."""
    gate = Gate(bundle.session)
    service = Service(replace(bundle, session=gate), limits=Limits(**limits))  # type: ignore[arg-type]
    gate.opened.clear()
    gate.reached.clear()
    gate.seen.clear()
    return service, gate


def until(holds: Callable[[], bool]) -> None:
    """Return once `holds`."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)
