"""More than it can take: who is refused, who is answered, and that every place is given back."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from sightline.bundle import Bundle
from sightline.serve import front, intake
from sightline.serve import wire as wire_module
from sightline.serve.intake import Room
from sightline.serve.limits import Limits, Refused
from sightline.serve.service import Service
from tests.serve.running import PNG, Answer, Client, Running, form, gated, threaded, until


def all_at_once(client: Client, sent: Sequence[bytes], clients: int) -> list[Answer]:
    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(lambda data: client.post("/predict?top=1", data), sent))


def head(size: int, kind: str = PNG) -> bytes:
    return f"POST /predict HTTP/1.1\r\nHost: 0\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\r\n".encode()


def read(raw: socket.socket) -> bytes:
    return b"".join(iter(lambda: raw.recv(65536), b""))


def test_two_hundred_clients_are_answered_rightly(bundle: Bundle, tests: list[bytes]) -> None:
    expected = [prediction.classes[0][0] for prediction in bundle.predict(tests[:200], top=1)]
    with threaded(Service(bundle, limits=Limits(waiting=200))) as client:
        answers = all_at_once(client, tests[:200], 200)
        said = client.metrics()
    assert [answer.json["predictions"][0]["classes"][0]["name"] for answer in answers] == expected
    assert said["sightline_batch_size_sum"] == 200
    assert said["sightline_pictures_waiting"] == 0


def test_beyond_its_places_it_refuses_at_once_and_answers_the_others(bundle: Bundle, tests: list[bytes]) -> None:
    service, gate = gated(bundle, waiting=8, batch=4)
    with threaded(service) as client, ThreadPoolExecutor(8) as pool:
        inside = [pool.submit(client.post, "/predict", data) for data in tests[:8]]
        until(lambda: service.batcher.admitted == 8)
        for path in ("/predict", "/embed", "/invocations"):
            refused = client.post(path, tests[0])
            assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
            assert "try again" in refused.error
        assert client.metrics()["sightline_pictures_waiting"] == 8
        assert client.get("/readyz").status == client.get("/model").status == 200
        gate.opened.set()
        assert [one.result().status for one in inside] == [200] * 8
        assert service.batcher.admitted == 0
        assert client.post("/predict", tests[0]).status == 200
        counted = client.metrics()
    assert counted['sightline_requests_total{route="/predict",status="503"}'] == 1
    assert counted['sightline_requests_total{route="/predict",status="200"}'] == 9
    assert max(gate.seen) <= 4


def test_a_request_that_is_too_large_for_the_places_left(bundle: Bundle, tests: list[bytes]) -> None:
    service, gate = gated(bundle, waiting=8)
    with threaded(service) as client, ThreadPoolExecutor(1) as pool:
        inside = pool.submit(client.form, "/predict", *(("a", data) for data in tests[:6]))
        until(lambda: service.batcher.admitted == 6)
        assert client.form("/predict", *(("a", data) for data in tests[:3])).status == 503
        gate.opened.set()
        assert inside.result().status == 200


def test_what_is_not_answered_in_time_is_told_so(bundle: Bundle, tests: list[bytes]) -> None:
    service, gate = gated(bundle, timeout_s=0.3, batch=2)
    with threaded(service) as client:
        answers = all_at_once(client, tests[:5], 5)
        assert [answer.status for answer in answers] == [504] * 5
        assert "not answered in time" in answers[0].error
        assert service.batcher.admitted == 0
        gate.opened.set()
        assert client.post("/predict", tests[0]).status == 200
        assert sum(gate.seen) <= 3  # those that were begun, and the last


def test_a_client_that_leaves_gives_back_its_place(bundle: Bundle, tests: list[bytes]) -> None:
    service, gate = gated(bundle, waiting=8, batch=1)
    with threaded(service) as client:
        connections = [client.socket() for _ in range(8)]
        for connection, data in zip(connections, tests, strict=False):
            connection.sendall(head(len(data)) + data)
        until(lambda: service.batcher.admitted == 8)
        for connection in connections:
            connection.close()
        until(lambda: service.batcher.admitted == 0)
        gate.opened.set()
        assert client.post("/predict", tests[0]).status == 200
        until(lambda: client.metrics().get('sightline_requests_total{route="/predict",status="400"}') == 8)
    assert sum(gate.seen) == 2  # one had begun; nobody's pictures were run after it


def test_a_client_that_leaves_before_all_is_sent(bundle: Bundle, tests: list[bytes]) -> None:
    with threaded(Service(bundle)) as client:
        for _ in range(5):
            with client.socket() as raw:
                raw.sendall(head(10**6) + bytes(1000))
        until(lambda: client.metrics().get('sightline_requests_total{route="/predict",status="400"}') == 5)
        assert client.post("/predict", tests[0]).status == 200


def test_what_does_not_arrive_in_time(bundle: Bundle, tests: list[bytes]) -> None:
    with threaded(Service(bundle, limits=Limits(receive_s=0.3))) as client, client.socket() as raw:
        raw.sendall(head(1000) + b"a little")
        answer = raw.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"did not arrive within 0.3 seconds" in answer
        assert client.post("/predict", tests[0]).status == 200


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: 0\r\n", head(10**6) + b"a little"])
def test_a_request_that_is_never_whole_is_not_waited_for_for_ever(
    bundle: Bundle, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire_module, "PATIENCE_S", 0.3)
    with threaded(Service(bundle)) as client, client.socket() as raw:
        raw.sendall(sent)
        read(raw)  # ends: the connection is closed


@pytest.mark.parametrize("sent", [b"a: b\r\n" * 30_000, b"a: " + b"b" * 150_000, b"\r\n" * 70_000])
def test_neither_trailers_nor_blank_lines_go_on_for_ever(bundle: Bundle, sent: bytes) -> None:
    with threaded(Service(bundle)) as service, service.socket() as raw:
        raw.sendall(b"POST /predict HTTP/1.1\r\nHost: 0\r\nTransfer-Encoding: chunked\r\n\r\n")
        raw.sendall(b"1\r\nx\r\n0\r\n" if b"a" in sent else b"1\r\nx\r\n0\r\n\r\n")
        raw.settimeout(0.01)
        answer = b""
        for start in range(0, len(sent), 4096):
            raw.sendall(sent[start : start + 4096])
            with suppress(TimeoutError):
                answer += raw.recv(65536)
            if b"HTTP/1.1 400 Bad Request" in answer:
                return
        pytest.fail(f"all of it was taken: {answer!r}")


def test_a_blank_line_does_not_hold_a_connection(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "PATIENCE_S", 0.3)
    with threaded(Service(bundle)) as client, client.socket() as raw:
        raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: 0\r\n\r\n")
        assert raw.recv(65536).startswith(b"HTTP/1.1 200")
        raw.sendall(b"\r\n")
        assert read(raw) == b""  # closed


def test_a_connection_that_is_kept_is_not_late(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "PATIENCE_S", 0.2)
    with threaded(Service(bundle)) as client:
        connection = client.connect()
        for pause in (0.4, 0.4, 0):
            assert client.ask("GET", "/healthz", connection=connection).status == 200
            threading.Event().wait(pause)  # longer than a request may take
        connection.close()


def test_bodies_of_all_requests_together_have_bounds(
    bundle: Bundle, tests: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(held_bytes=2_000_000)
    room = Room(limits)
    monkeypatch.setattr(front, "Room", lambda _: room)
    with threaded(Service(bundle, limits=limits)) as client:
        slow = [client.socket() for _ in range(3)]
        for raw in slow:
            raw.sendall(head(900_000) + bytes(600_000))
        until(lambda: room.held == 1_800_000)
        assert client.post("/predict", bytes(500_000)).status == 503
        assert client.post("/predict", tests[0]).status == 200
        for raw in slow:
            raw.close()
        until(lambda: room.held == 0)
        assert client.post("/predict", bytes(500_000)).status == 415


def test_room_is_given_back_whatever_happens() -> None:
    room = Room(Limits(held_bytes=100))
    for _ in range(3):
        with pytest.raises(Refused) as refused, room.hold() as take:
            take(60)
            with room.hold() as other:
                other(40)
                take(1)
        assert refused.value.status == 503
    with pytest.raises(ZeroDivisionError), room.hold() as take:
        take(100)
        _ = 1 / 0
    with room.hold() as take:
        take(100)


def test_files_of_a_form_stay_in_memory_and_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    from starlette.datastructures import UploadFile
    from starlette.requests import Request

    closed: list[bool] = []
    close = UploadFile.close

    async def closing(self: UploadFile) -> None:
        closed.append(getattr(self.file, "_rolled", True))
        await close(self)

    monkeypatch.setattr(UploadFile, "close", closing)
    body, kind = form(*((f"{i}", bytes(3_000_000)) for i in range(3)))
    request = Request({"type": "http", "headers": [(b"content-type", kind.encode())]})
    sent = asyncio.run(intake.pictures(request, body, Limits()))
    assert [len(one.data) for one in sent] == [3_000_000] * 3
    assert closed == [False] * 3


def test_a_graph_that_fails_fails_its_requests_alone(bundle: Bundle, tests: list[bytes]) -> None:
    service, gate = gated(bundle)
    gate.opened.set()
    with threaded(service) as client:
        gate.fails = True
        answer = client.post("/predict", tests[0])
        assert (answer.status, answer.error) == (500, "the service failed: its log says why")
        gate.fails = False
        assert client.post("/predict", tests[0]).status == 200
        assert client.get("/readyz").status == 200
        assert service.batcher.admitted == 0


def test_requests_that_follow_each_other_at_once_on_a_connection(service: Running, tests: list[bytes]) -> None:
    large = b"x" * (3 * wire_module.HEAD_BYTES)  # no picture; its end comes together with the next one's head
    with service.socket() as raw:
        raw.sendall(b"".join(head(len(data)) + data for data in (*tests[:20], large)))
        raw.sendall(b"GET /healthz HTTP/1.0\r\n")
        time.sleep(0.1)
        raw.sendall(b"\r\n")
        answers = read(raw).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [*[b"200"] * 20, b"415", b"200"]
    bodies: list[Any] = [json.loads(answer.partition(b"\r\n\r\n")[2]) for answer in answers]
    for body, data in zip(bodies, tests[:20], strict=False):
        assert body["predictions"] == service.post("/predict", data).json["predictions"]
