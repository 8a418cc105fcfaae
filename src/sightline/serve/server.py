"""The process that serves: one socket, one loop, and an end that loses no request it has taken."""

from __future__ import annotations

import logging
import socket
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from sightline.core.errors import UserError, named
from sightline.serve.front import Lines
from sightline.serve.service import Service

BACKLOG = 2048  # connections that may wait to be taken
KEEP_ALIVE_S = 65  # above the minute after which load balancers let go of an idle connection


def listen(host: str, port: int) -> socket.socket:
    """A socket at that address, a free port where `port` is 0; UserError when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        why = error.strerror or str(error)
        raise UserError(f"{named(host)}:{port} is not to be had ({why}): choose another --port or --host") from None


def address(listening: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def run(app: FastAPI, service: Service, listening: socket.socket) -> None:
    """Answer until asked to stop, by SIGTERM or an interrupt; what was taken by then is answered first."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logger = logging.getLogger("sightline.serve")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.propagate = False
    config = uvicorn.Config(
        app, http="httptools", loop="uvloop", lifespan="on", ws="none", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, timeout_keep_alive=KEEP_ALIVE_S, backlog=BACKLOG,
        timeout_graceful_shutdown=int(service.limits.receive_s + service.limits.timeout_s),
    )  # fmt: skip
    _Server(config, service).run(sockets=[listening])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """From now on /readyz says that it ends; the second signal does not wait for answers."""
        self.force_exit = self.should_exit
        self._service.draining = self.should_exit = True
