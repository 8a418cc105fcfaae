"""The process that serves: one socket, one loop, and an end that loses no request it has taken."""

from __future__ import annotations

import asyncio
import ctypes
import ipaddress
import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType

import PIL
import uvicorn
from fastapi import FastAPI

from sightline.core.errors import UserError, named
from sightline.serve.front import log_to_stderr
from sightline.serve.service import Service
from sightline.serve.wire import Wire

BACKLOG = 2048  # connections that may wait to be taken
KEEP_ALIVE_S = 65  # above the minute after which load balancers let go of an idle connection
LET_GO_S = 0.5  # in which clients are told, with their answers, to come no more


def reserve(host: str, port: int) -> socket.socket:
    """A socket at that address that nobody can reach yet, a free port where `port` is 0; UserError if it is taken."""
    try:
        taken = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise _not_to_be_had(host, port, error) from None
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else the system keeps it a minute after a crash
    try:
        taken.bind((host, port))
    except (OSError, UnicodeError) as error:
        taken.close()
        raise _not_to_be_had(host, port, error) from None
    return taken


def address(listening: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_local(listening: socket.socket) -> bool:
    """Whether its own machine alone reaches it."""
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def run(app: FastAPI, service: Service, reserved: socket.socket, ready: Callable[[], None]) -> None:
    """Answer until asked to stop, by SIGTERM or an interrupt; what was taken by then is answered first.

    `ready` is called once the socket takes requests, which is when they can be answered.
    """
    log_to_stderr(logging.getLogger())  # whoever has something to say says it so
    logging.captureWarnings(True)
    _quiet_tiff()
    config = uvicorn.Config(
        app, http=Wire, loop="auto", lifespan="on", ws="none", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, timeout_keep_alive=KEEP_ALIVE_S, backlog=BACKLOG,
        timeout_graceful_shutdown=int(service.limits.receive_s + service.limits.timeout_s),
    )  # fmt: skip
    _Server(config, service, ready).run(sockets=[reserved])


class _Server(uvicorn.Server):
    """uvicorn's, which at its end drops connections that are not taken yet or that it finds between two requests."""

    def __init__(self, config: uvicorn.Config, service: Service, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._service, self._ready = service, ready
        self._ends = float("inf")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Warm, and then open."""
        assert sockets
        host, port = sockets[0].getsockname()[:2]
        try:
            await super().startup(sockets)
        except OSError as error:  # another process opened it meanwhile
            raise _not_to_be_had(host, port, error) from None
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """From now on /readyz says that it ends, and answers close their connections; a second signal ends it."""
        self.force_exit = self._service.draining
        self._service.draining = True
        self._ends = min(self._ends, time.monotonic() + LET_GO_S)

    async def on_tick(self, counter: int) -> bool:
        """Whether it is time to end."""
        await super().on_tick(counter)
        idle = self._service.draining and not self.server_state.connections
        return idle or self.force_exit or time.monotonic() > self._ends

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take who is at the door, close it, and answer who is inside."""
        assert sockets
        last = list(_at_the_door(sockets[0]))
        for server in self.servers:
            server.close()
        for connection in last:
            await asyncio.get_running_loop().connect_accepted_socket(self._wire, connection)
        end = time.monotonic() + LET_GO_S
        while self.server_state.connections and time.monotonic() < end and not self.force_exit:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    def _wire(self) -> Wire:
        return Wire(self.config, self.server_state, self.lifespan.state)


def _quiet_tiff() -> None:
    """Keep what libtiff has to say of broken files, which is plain text, out of the log; Pillow's answer is enough."""
    for library in (Path(PIL.__file__).parents[1] / "pillow.libs").glob("libtiff-*"):
        with suppress(OSError, AttributeError):
            loaded = ctypes.CDLL(str(library))
            loaded.TIFFSetErrorHandler(None)
            loaded.TIFFSetWarningHandler(None)


def _at_the_door(listening: socket.socket) -> Iterator[socket.socket]:
    """Connections that the system has made and nobody has taken."""
    listening.setblocking(False)
    while True:
        try:
            yield listening.accept()[0]
        except OSError:
            return


def _not_to_be_had(host: str, port: int, error: Exception) -> UserError:
    why = getattr(error, "strerror", None) or str(error)
    return UserError(f"{named(host)}:{port} is not to be had ({why}): choose another --port or --host")
