"""`sightline serve` as a process: when it opens, what it is told, how it ends, what it says."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from sightline.bundle import Bundle, _checksum
from sightline.core.errors import UserError
from sightline.runtime import Session
from sightline.serve.server import reserve
from sightline.serve.service import Service
from tests.serve.running import PATIENCE_S, PNG, Client, Running, b64, command, environment, running, until

KEY = "a-key-of-letters"


@pytest.fixture
def bundle_copy(bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle.path, tmp_path / "spoilt"))


def refused(*arguments: str | Path, **env: str) -> str:
    """What a service says on standard error that ends with exit code 2, in one line, without having opened."""
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, timeout=PATIENCE_S, env=environment(**env)
    )
    assert (done.returncode, done.stdout) == (2, ""), done
    (line,) = done.stderr.splitlines()
    return line


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("file", ["model.onnx", "bundle.json"])
def test_a_bundle_with_a_flipped_byte_never_becomes_ready(bundle_copy: Path, file: str) -> None:
    flip(bundle_copy / file)
    with reserve("127.0.0.1", 0) as taken:  # which is ours alone, so that nobody else answers there
        port = taken.getsockname()[1]
    opened = threading.Event()
    ended = threading.Event()

    def knock() -> None:
        while not ended.is_set():
            try:
                socket.create_connection(("127.0.0.1", port), 0.1).close()
                opened.set()
            except OSError:
                ended.wait(0.01)

    knocking = threading.Thread(target=knock)
    knocking.start()
    try:
        said = refused(bundle_copy, "--port", str(port))
    finally:
        ended.set()
        knocking.join()
    assert said.startswith("error: damaged bundle: ")
    assert file in said
    assert not opened.is_set()


def test_what_it_is_told_and_cannot_be(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("short\n")
    assert "must be 8 or more plain letters" in refused(bundle.path, "--api-key-file", tmp_path / "key")
    assert "AIP_PREDICT_ROUTE is predict" in refused(bundle.path, AIP_PREDICT_ROUTE="predict")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert f"127.0.0.1:{port} is not to be had" in refused(bundle.path, "--port", port)


def test_a_network_that_does_not_fit_the_memory(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Session.run

    def fails(self: Session, images: Any, **how: Any) -> Any:
        if len(images) == 16:
            raise RuntimeError("Failed to allocate memory for requested buffer\nat 0x1")
        return run(self, images, **how)

    monkeypatch.setattr(Session, "run", fails)
    with pytest.raises(UserError, match=r"cannot answer 16 pictures at once here \(Failed to allocate.*--max-batch"):
        Service(bundle)


@pytest.mark.slow
def test_more_of_what_it_cannot_be_told(bundle: Bundle, explained: Bundle, index: Any, tmp_path: Path) -> None:
    assert "SIGHTLINE_API_KEY must be 8 or more" in refused(bundle.path, SIGHTLINE_API_KEY="")
    assert "cannot be read" in refused(bundle.path, "--api-key-file", tmp_path / "none")
    assert "make the index with this network" in refused(explained.path, "--index", index.path, "--port", "0")
    assert "is not to be had" in refused(bundle.path, "--host", "203.0.113.7", "--port", "0")
    assert "--max-batch" in refused(bundle.path, "--max-batch", "0")
    assert "PORT" in refused(bundle.path, PORT="http")


def test_integers_are_served_where_they_are_asked_for(bundle: Bundle, explained: Bundle, tmp_path: Path) -> None:
    """Another network stands where the one in integers would, so that it is seen which is served."""
    shutil.copytree(bundle.path, tmp_path / "b")
    assert "sightline export" in refused(tmp_path / "b", "--int8")
    other = shutil.copytree(explained.path, tmp_path / "b-int8")
    assert "in 8-bit integers: make it with" in refused(tmp_path / "b", "--int8")
    card = {**explained.card, "int8": {"of": bundle.model_hash}}
    (other / "bundle.json").write_text(json.dumps({**card, "sha256": _checksum(card)}))
    with running(tmp_path / "log", tmp_path / "b", "--int8") as service:
        assert service.get("/model").json["model"]["version"] == explained.model_hash[:12]


def test_the_port_and_the_key_come_from_the_environment(bundle: Bundle, tmp_path: Path, tests: list[bytes]) -> None:
    with reserve("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
    env = {
        "PORT": str(port), "SIGHTLINE_RUN": str(bundle.path), "SIGHTLINE_API_KEY": KEY, "AIP_HEALTH_ROUTE": "/health",
        "AIP_PREDICT_ROUTE": "/predict",
    }  # fmt: skip
    with running(tmp_path, env=env, port=None) as service:
        assert service.port == port
        assert service.get("/health").status == 200
        instances = {"instances": [{"b64": b64(tests[0])}]}
        assert service.json("/predict", instances).status == 401
        assert list(service.json("/predict", instances, X_API_Key=KEY).json["predictions"][0]) == ["classes"]
        assert service.stop(signal.SIGINT) == 0


def test_its_log_is_json_and_holds_nothing_of_its_clients(bundle: Bundle, tmp_path: Path, tests: list[bytes]) -> None:
    with running(tmp_path / "log", bundle.path, "--api-key-file", keyfile(tmp_path)) as service:
        service.get("/private-path?q=private-query", X_Request_ID="kept-1", X_API_Key=KEY)
        service.form("/predict?top=private", ("private-name.png", tests[0]))
        key = {"X_API_Key": KEY}
        service.json("/predict", {"images": [{"name": "private-name", "data": b64(b"private")}]}, **key)
        service.post("/predict", b"GIF89a private", **key)
        service.get("/model", X_Request_ID="private id", User_Agent="private", **key)
        service.get("/readyz")
        service.get("/metrics", **key)
        with service.socket() as raw:
            raw.sendall(b"private nonsense\r\n\r\n")
            raw.recv(1000)
        with service.socket() as raw:
            raw.sendall(b"GET /healthz HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: private\r\n\r\n")
            raw.recv(1000)
        assert service.stop() == 0
        text, lines = service.errors.read_text(), service.log
    assert "private" not in text
    assert KEY not in text
    requests = [line for line in lines if line["event"] == "request"]
    assert [line["status"] for line in requests] == [404, 401, 415, 422, 200]
    assert set(requests[0]) == {"time", "level", "event", "id", "method", "route", "status", "ms"}
    assert (requests[0]["id"], requests[0]["route"], requests[4]["route"]) == ("kept-1", "other", "/model")
    assert {line["level"] for line in lines} == {"info", "warning"}


def keyfile(folder: Path) -> Path:
    (folder / "key").write_text(KEY + "\n")
    return folder / "key"


class Load:
    """Clients that ask until nobody is there; `answers` are the classes they got, `lost` what went wrong."""

    def __init__(self, client: Client, sent: Sequence[bytes], keep: bool, clients: int = 12) -> None:
        self._client, self._sent, self._keep = client, sent, keep
        self.answers: list[tuple[int, str]] = []
        self.lost: list[str] = []
        self.threads = [threading.Thread(target=self._work, args=(number,)) for number in range(clients)]

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self.threads:
            thread.join()

    def _work(self, number: int) -> None:
        for turn in range(number, 10**9, 7):
            picture = turn % len(self._sent)
            connection = self._client.connect()
            try:
                connection.connect()
            except OSError:
                return  # nobody is there any more
            if not self._ask(connection, picture):
                return

    def _ask(self, connection: http.client.HTTPConnection, picture: int) -> bool:
        try:
            while True:
                connection.request("POST", "/predict?top=1", self._sent[picture], {"Content-Type": PNG})
                response = connection.getresponse()
                said = json.loads(response.read())
                self.answers.append((picture, said["predictions"][0]["classes"][0]["name"]))
                if not self._keep or response.getheader("Connection") == "close":
                    return True
        except Exception as error:
            self.lost.append(f"{type(error).__name__}: {error}")
            return False
        finally:
            connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("keep", [True, False])
def test_sigterm_under_load_loses_no_request(bundle: Bundle, tmp_path: Path, tests: list[bytes], keep: bool) -> None:
    right = [prediction.classes[0][0] for prediction in bundle.predict(tests, top=1)]
    for _ in range(2):
        with running(tmp_path, bundle.path, "--max-waiting", "512") as service:
            load = Load(service, tests, keep)
            with load:
                until(lambda load=load: len(load.answers) > 100)  # type: ignore[misc]
                assert service.stop() == 0
            assert load.lost == []
            assert all(name == right[picture] for picture, name in load.answers)


def test_a_request_that_has_begun_is_answered_after_sigterm(bundle: Bundle, tmp_path: Path, tests: list[bytes]) -> None:
    data = tests[0]
    with running(tmp_path, bundle.path) as service, service.socket() as raw:
        raw.sendall(f"POST /predict HTTP/1.1\r\nHost: 0\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data[:20])
        until(lambda: service.metrics()["sightline_pictures_waiting"] == 0)
        service.process.send_signal(signal.SIGTERM)
        while True:  # until its door is closed
            try:
                service.socket().close()
            except OSError:
                break
        raw.sendall(data[20:])
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer
        assert service.process.wait(PATIENCE_S) == 0


@pytest.mark.slow
def test_killed_under_load_it_starts_again_at_the_same_port(bundle: Bundle, tmp_path: Path, tests: list[bytes]) -> None:
    with running(tmp_path, bundle.path) as first:
        load = Load(first, tests, keep=True)
        with load:
            until(lambda: len(load.answers) > 50)
            os.kill(first.process.pid, signal.SIGKILL)
            assert first.process.wait(PATIENCE_S) == -signal.SIGKILL
        with running(tmp_path, bundle.path, port=first.port) as second:
            assert second.post("/predict", tests[0]).status == 200
            assert second.stop() == 0


def test_what_clients_do_leaves_nothing_open(service: Running, tests: list[bytes]) -> None:
    process = psutil.Process(service.process.pid)

    def counts() -> tuple[int, int]:
        return process.num_fds(), process.num_threads()

    def rough() -> None:
        for data in tests[:10]:
            service.form("/predict", *((f"{i}", data) for i in range(10)), ("bad", b"GIF89a"))
            service.post("/similar", data)
            with service.socket() as raw:
                raw.sendall(b"POST /predict HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf")

    rough()
    until(lambda: service.metrics()["sightline_pictures_waiting"] == 0)
    before = counts()
    for _ in range(5):
        rough()
    until(lambda: counts()[0] <= before[0])
    assert counts()[1] <= before[1] + 4  # threads that wait for work, of which there is a bound
