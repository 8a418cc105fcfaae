"""What every request passes: its id, the key, room, the counts, a line of log, and headers that keep a browser safe.

Log lines are JSON on standard error and hold no file name and nothing a client sent but a request id of plain letters.
"""

from __future__ import annotations

import hmac
import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Collection, MutableMapping
from functools import lru_cache
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightline.core.errors import UserError
from sightline.serve.intake import Room
from sightline.serve.limits import Refused, full
from sightline.serve.service import Service

LOG = logging.getLogger("sightline.serve")
ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
OPEN = (
    "/",
    "/healthz",
    "/readyz",
    "/ping",
    "/docs",
    "/openapi.json",
)  # without a key: the page asks for it, probes cannot
STATIC = ("/static/", "/docs/")
PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SWAGGER = PAGE.replace("script-src 'self'", "script-src 'self' 'unsafe-inline'").replace(
    "style-src 'self'", "style-src 'self' 'unsafe-inline'"
)  # FastAPI starts it by an inline script
SAFE = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), geolocation=(), microphone=()"),
)
# A number, or localhost: what no owner of a name can let lead here
HERE = re.compile(rb"(([a-z0-9-]+\.)*localhost\.?|[0-9.]+|\[[0-9a-f:.]+\])(:[0-9]+)?", re.IGNORECASE)
PROBES = ("/healthz", "/readyz", "/ping", "/metrics")


class Front:
    """Around `app`: nothing reaches it without the `key`, where there is one, or while there is no room."""

    def __init__(
        self,
        app: ASGIApp,
        service: Service,
        paths: Collection[str],
        key: str | None = None,
        probes: tuple[str, ...] = (),
        local: bool = False,
    ) -> None:
        """`paths` are counted by name; `probes` are health addresses besides the usual ones: open, and not logged.

        A service that is `local`, and has no key, is called localhost or by its number alone: the name of a page of
        the web may be made to lead here, and the page would then pass for ours.
        """
        self._app, self._service, self._paths, self._key = app, service, paths, key
        self._room, self._local = Room(service.limits), local
        self._open, self._probes = (*OPEN, *probes), (*PROBES, *probes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        request = given if ID.fullmatch(given) else secrets.token_hex(8)
        status = 500

        async def answered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_headers(scope["path"], request)]
                if self._service.draining:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        arrived = time.monotonic()
        try:
            refused = self._refused(scope, headers)
            if refused:
                await error_response(refused)(scope, receive, answered)
            else:
                with self._room.hold() as take:
                    scope["state"] = {**scope.get("state", {}), "arrived": arrived, "take": take}
                    await self._app(scope, receive, answered)
        except Exception:
            LOG.exception("failed", extra={"said": {"id": request}})
        finally:
            self._tell(scope, request, status, time.monotonic() - arrived)

    def _refused(self, scope: Scope, headers: MutableMapping[bytes, bytes]) -> Refused | None:
        """What keeps the request out, before anything of its body is read."""
        path, reads = scope["path"], scope["method"] in ("GET", "HEAD")
        is_open = reads and (path in self._open or path.startswith(STATIC))
        if self._key and not is_open and not self._knows(headers):
            return Refused(401, "a key is needed: send it as `Authorization: Bearer KEY`")
        if not self._key:  # which a browser would not send by itself
            refused = self._from_elsewhere(headers, reads, path)
            if refused:
                return refused
        if scope["method"] == "POST" and self._service.batcher.admitted >= self._service.limits.waiting:
            return full()
        return None

    def _from_elsewhere(self, headers: MutableMapping[bytes, bytes], reads: bool, path: str) -> Refused | None:
        """What keeps pages of other sites out that a browser here shows."""
        origin, host = headers.get(b"origin"), headers.get(b"host")
        foreign = self._local and origin is not None and not HERE.fullmatch(origin.partition(b"://")[2])
        if not reads and (foreign or headers.get(b"sec-fetch-site") == b"cross-site"):
            return Refused(403, "a page of another site may not ask")
        if self._local and path not in self._probes and host and not HERE.fullmatch(host):
            return Refused(403, "this service is for its own machine: call it localhost, or start it with a key")
        return None

    def _knows(self, headers: MutableMapping[bytes, bytes]) -> bool:
        assert self._key
        scheme, _, bearer = headers.get(b"authorization", b"").partition(b" ")
        given = bearer.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")
        return hmac.compare_digest(given, self._key.encode())

    def _tell(self, scope: Scope, request: str, status: int, seconds: float) -> None:
        """Count the request and log it; its route alone is named, as a path may say anything."""
        own = scope["path"] if scope["path"] in self._paths else "other"
        route = str(getattr(scope.get("route"), "path", own))
        self._service.metrics.request(route, status, seconds)
        if scope["path"] in self._probes and status < 400:
            return
        said = {
            "id": request,
            "method": scope["method"],
            "route": route,
            "status": status,
            "ms": round(1000 * seconds, 1),
        }
        if LOG.isEnabledFor(logging.INFO):  # as LOG.info, but for its search of who called
            LOG.handle(LOG.makeRecord(LOG.name, logging.INFO, "", 0, "request", (), None, extra={"said": said}))


def error_response(refused: Refused) -> JSONResponse:
    """A refusal as every client of the service knows them."""
    return _refusal(refused.status, str(refused), refused.retry_after_s)


@lru_cache(64)
def _refusal(status: int, message: str, retry_after_s: int | None) -> JSONResponse:
    """Kept, as a service that is overloaded says little else."""
    headers = {"retry-after": str(retry_after_s)} if retry_after_s else {}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse({"error": message}, status, headers=headers)


def _headers(path: str, request: str) -> list[tuple[bytes, bytes]]:
    policy = SWAGGER if path == "/docs" else PAGE
    return [(b"x-request-id", request.encode()), (b"content-security-policy", policy.encode()), *SAFE]


def checked_key(key: str, where: str) -> str:
    """`key` itself, found in `where`; UserError when it is too short, or no header could bring it."""
    if not (key.isascii() and key.isprintable() and len(key) >= 8 and " " not in key):
        raise UserError(f"the key in {where} must be 8 or more plain letters and digits, without spaces")
    return key


def log_to_stderr(logger: logging.Logger) -> None:
    """Let what `logger` is told of requests go to standard error, as lines of JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logger.addHandler(handler)
    LOG.setLevel(logging.INFO)


class Lines(logging.Formatter):
    """A log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, what happened, and what is said of it."""
        said: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S"), "level": record.levelname.lower(),
            "event": record.getMessage(), **getattr(record, "said", {}),
        }  # fmt: skip
        if record.exc_info:
            said["error"] = self.formatException(record.exc_info)
        return json.dumps(said)
