"""The address that a Lambda container asks for events and tells its answers, and what API Gateway sends."""

from __future__ import annotations

import base64
import http.server
import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STAGE = {"accountId": "1", "apiId": "a", "stage": "$default", "requestId": "r", "domainName": "a.example.com"}


def event_v2(method: str, path: str, body: bytes = b"", **headers: str) -> dict[str, Any]:
    """What an HTTP API sends: a body that is no text in base64."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "top=3",
        "headers": {"host": "a.example.com", "content-type": "image/png", **headers},
        "queryStringParameters": {"top": "3"},
        "requestContext": {
            **STAGE,
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "1.2.3.4", "userAgent": "t"},
            "routeKey": "$default",
            "time": "22/Nov/2026:10:00:00 +0000",
            "timeEpoch": 1795341600000,
        },
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


def event_v1(method: str, path: str, body: bytes = b"", **headers: str) -> dict[str, Any]:
    """What a REST API sends, binary media types switched on."""
    sent = {"Host": "a.example.com", "Content-Type": "image/png", **headers}
    return {
        "version": "1.0",
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": {"top": "3"},
        "multiValueQueryStringParameters": {"top": ["3"]},
        "pathParameters": {"proxy": path[1:]},
        "stageVariables": None,
        "requestContext": {
            **STAGE, "path": path, "httpMethod": method, "resourcePath": "/{proxy+}", "protocol": "HTTP/1.1",
            "identity": {"sourceIp": "1.2.3.4", "userAgent": "t"},
        },
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }  # fmt: skip


@contextmanager
def runtime_api(events: list[dict[str, Any]]) -> Iterator[tuple[str, queue.Queue[tuple[str, Any]]]]:
    """The address (host:port) that gives out `events` in order, and a queue of (path, answer) it was told."""
    told: queue.Queue[tuple[str, Any]] = queue.Queue()
    waiting = iter(enumerate(events))
    over = threading.Event()

    class Runtime(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number, event = next(waiting, (None, None))
            if event is None:
                over.wait()  # as Lambda does: the container is frozen until the next event
                return
            body = json.dumps(event).encode()
            self.send_response(200)
            self.send_header("Lambda-Runtime-Aws-Request-Id", f"request-{number}")
            self.send_header("Content-Type", "application/json")
            self.send_header("Lambda-Runtime-Deadline-Ms", "9999999999999")
            self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:1:function:f")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.put((self.path, json.loads(body)))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Runtime) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", told
        finally:
            over.set()
            server.shutdown()
            thread.join()
