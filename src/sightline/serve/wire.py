"""A connection: uvicorn's, with an end to what a client may let it wait for, and to how long a request's head may be.

uvicorn itself waits for ever for the rest of a request that was begun, and keeps headers of any number.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sightline.serve.front import SAFE

HEAD_BYTES = 64 << 10
PATIENCE_S = 30.0  # from a request's first byte to its last; longer than `Limits.receive_s`, which is answered with 408


class Wire(HttpToolsProtocol):
    """Closed when a request has not come within `PATIENCE_S`, or its head is above `HEAD_BYTES`."""

    _late: asyncio.TimerHandle | None = None
    _moved = False
    _head = 0

    def connection_made(self, transport: Any) -> None:
        """A client came; it is to say something."""
        super().connection_made(transport)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """It left."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes of one request, or of several."""
        self._moved = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._moved:  # of a head, or of what else is no body: chunks' sizes, trailers
            self._head += len(data)
            if self._head > HEAD_BYTES:
                self.send_400_response("the head of the request is too long")
        idle = self.cycle is None or self.cycle.response_complete
        if idle and not self._late and not self.timeout_keep_alive_task:  # a blank line stopped that
            self._await_request()

    def send_400_response(self, msg: str) -> None:
        """What is no request is told so as any other that is refused."""
        body = json.dumps({"error": msg.lower().rstrip(".")}).encode()
        fields = (
            (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), (b"connection", b"close"),
            *SAFE,
        )  # fmt: skip
        head = [b"HTTP/1.1 400 Bad Request", *(b": ".join(field) for field in fields), b"", body]
        self.transport.write(b"\r\n".join(head))
        self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._await_request()

    def on_body(self, body: bytes) -> None:
        """Some of it came."""
        super().on_body(body)
        self._moved, self._head = True, 0

    def on_message_complete(self) -> None:
        """It is whole."""
        self._stop_waiting()
        self._moved, self._head = True, 0
        super().on_message_complete()

    def _await_request(self) -> None:
        self._stop_waiting()
        self._late = self.loop.call_later(PATIENCE_S, self._too_late)

    def _stop_waiting(self) -> None:
        if self._late:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        self.transport.close()
