"""The steps of the Dockerfile are carried out, and what stands then serves as it would in a container."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sightline.bundle import Bundle
from tests.deploy.dockerfile import Image, instructions
from tests.deploy.runtime_api import event_v2, runtime_api
from tests.deploy.test_lambda import png, said

OFFLINE = ("NewConnectionError", "Failed to establish a new connection", "Temporary failure in name resolution")


@pytest.fixture(scope="module")
def image(deployment: Callable[[str], Path]) -> Iterator[Image]:
    """The image of a deployment for AWS, which holds an Index and what Lambda takes, built in a folder of its own."""
    root = Path(tempfile.mkdtemp(prefix="image-"))
    try:
        yield Image(deployment("aws"), root).build()
    except AssertionError as error:
        if any(sign in str(error) for sign in OFFLINE):
            pytest.skip("there is no package index")
        raise
    finally:
        shutil.rmtree(root)


def started(image: Image, command: list[str], **environment: str) -> subprocess.Popen[str]:
    """A process of the image: its environment, its folder, and a home of its own."""
    home = image.root / "home"
    home.mkdir(exist_ok=True)
    return subprocess.Popen(
        command, cwd=image.inside(image.place), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=image.environment(HOME=str(home), TMPDIR=str(home), **environment),
    )  # fmt: skip


def files(image: Image) -> set[Path]:
    """All there is beside the interpreter, which any user may read."""
    found = {path for place in ("srv", "home") for path in (image.root / place).rglob("*")}
    assert all(path.stat().st_mode & 0o004 for path in found)
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def asked(port: int, method: str, path: str, body: bytes | None = None, patience_s: float = 30) -> Any:
    """The JSON that is answered; asked again while nobody listens."""
    until = time.monotonic() + patience_s
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request(method, path, body, {"content-type": "image/png"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except ConnectionError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        finally:
            connection.close()


@pytest.mark.slow
def test_the_image_serves_what_the_bundle_says_and_ends_when_asked_to(image: Image, bundle: Bundle) -> None:
    port, picture = free_port(), png(bundle)
    before = files(image)
    process = started(image, image.entrypoint + image.command, PORT=str(port))
    try:
        assert asked(port, "GET", "/readyz") == (200, {"status": "ready"})
        status, answer = asked(port, "POST", "/predict", picture)
        (expected,) = bundle.predict([picture])
        assert status == 200
        assert [one["name"] for one in answer["predictions"][0]["classes"]] == [name for name, _ in expected.classes]
        probabilities = [one["probability"] for one in answer["predictions"][0]["classes"]]
        assert probabilities == pytest.approx([probability for _, probability in expected.classes])
        assert asked(port, "POST", "/invocations", picture)[1]["predictions"] == answer["predictions"]
        assert len(asked(port, "POST", "/similar", picture)[1]["similar"][0]["neighbours"]) == 12
        assert started(image, image.health, PORT=str(port)).wait() == 0
        assert started(image, image.health, PORT=str(free_port())).wait() != 0
    finally:
        process.send_signal(signal.SIGTERM)
        logged = process.communicate(timeout=30)[0]
    assert process.returncode == 0, logged
    assert files(image) == before  # a root that is read-only suffices


@pytest.mark.slow
def test_the_image_is_a_lambda_function(image: Image, bundle: Bundle, deployment: Callable[[str], Path]) -> None:
    text = (deployment("aws") / "lambda.yaml").read_text()
    entry, handler = "EntryPoint: [python, -m, awslambdaric]", "Command: [sightline.serve.aws_lambda.handler]"
    assert entry in text
    assert handler in text
    picture = png(bundle)
    with runtime_api([event_v2("POST", "/predict", picture)] * 2) as (address, told):
        process = started(
            image, ["python", "-m", "awslambdaric", "sightline.serve.aws_lambda.handler"],
            AWS_LAMBDA_RUNTIME_API=address, AWS_LAMBDA_FUNCTION_NAME="f",
        )  # fmt: skip
        try:
            answers = [told.get(timeout=30) for _ in range(2)]
        finally:
            process.kill()
            logged = process.communicate()[0]
    (expected,) = bundle.predict([picture], top=3)
    assert [path.rpartition("/")[2] for path, _ in answers] == 2 * ["response"], (answers, logged)
    for _, answer in answers:
        assert said(answer)["predictions"][0]["classes"][0]["name"] == expected.classes[0][0]


@pytest.mark.parametrize("target", ["docker", "gcp"])
def test_the_dockerfile_is_in_order(target: str, deployment: Callable[[str], Path]) -> None:
    steps = list(instructions((deployment(target) / "Dockerfile").read_text()))
    names = [name for name, _ in steps]
    assert names.index("USER") > max(place for place, name in enumerate(names) if name in ("RUN", "COPY"))
    assert dict(steps)["USER"] == "10001:10001"
    assert json.loads(dict(steps)["ENTRYPOINT"]) == ["python", "-m", "sightline.cli"]
    assert json.loads(dict(steps)["CMD"]) == ["serve"]  # what SageMaker puts in its place
    environment = dict(steps)["ENV"]
    assert "SIGHTLINE_HOST=0.0.0.0" in environment
    assert ("SIGHTLINE_INDEX" in environment) == (target == "docker")
