"""A web server on this machine that answers well and badly, for what downloads."""

from __future__ import annotations

import http.server
from typing import ClassVar

CONTENT = bytes(range(256)) * 4000


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `content` with ranges; /broken stops after `stop` bytes, /moved redirects, /none is not there."""

    protocol_version = "HTTP/1.1"
    content: ClassVar[bytes] = CONTENT
    stop: ClassVar[int] = 300_000
    ranges: ClassVar[list[str | None]] = []
    etag: ClassVar[str] = '"one"'

    def do_GET(self) -> None:
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", self.path.partition("?")[2])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path.startswith("/none"):
            self.send_error(404)
            return
        asked = self.headers.get("Range")
        self.ranges.append(asked)
        start = int(asked[6:-1]) if asked and self.headers.get("If-Range") == self.etag else 0
        if start >= len(self.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(self.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = self.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", self.etag)
        self.end_headers()
        if self.path.startswith("/broken"):
            body = body[: self.stop]
            self.close_connection = True
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""
