"""As a Lambda function the service answers events of API Gateway as it answers requests, and is opened once."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.bundle import Bundle, read_golden
from tests.deploy.runtime_api import event_v1, event_v2

FEED = """
import json, sys
from sightline import api
opened, load = [], api.load
api.load = lambda *arguments: opened.append(1) or load(*arguments)
from sightline.serve import aws_lambda
from sightline.serve.service import Service
warmed, warm = [], Service._warm
Service._warm = lambda self: warmed.append(1) or warm(self)
answers = [aws_lambda.handler(event, None) for event in json.load(sys.stdin)]
print(json.dumps({"answers": answers, "opened": len(opened), "warmed": len(warmed)}))
"""


def png(bundle: Bundle) -> bytes:
    images, _ = read_golden(bundle.path / "golden.npz")
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(images[1][:, :, 0])).save(file, "PNG")
    return file.getvalue()


def fed(bundle: Bundle, events: list[dict[str, Any]], **environment: str) -> subprocess.CompletedProcess[str]:
    """Events given to the handler in a fresh process, as Lambda begins one."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SIGHTLINE_", "AWS_"))}
    return subprocess.run(
        [sys.executable, "-c", FEED], input=json.dumps(events), capture_output=True, text=True,
        env={**clean, "SIGHTLINE_RUN": str(bundle.path), **environment},
    )  # fmt: skip


def said(answer: dict[str, Any]) -> Any:
    body = answer["body"]
    return json.loads(base64.b64decode(body) if answer.get("isBase64Encoded") else body)


def test_events_are_answered_as_the_bundle_does_and_it_is_opened_once(bundle: Bundle) -> None:
    picture = png(bundle)
    posts = [make("POST", "/predict", picture) for make in (event_v2, event_v1, event_v2, event_v1)]
    gets = [event_v2("GET", path) for path in ("/readyz", "/static/icon.svg", "/model")]
    done = fed(bundle, [*posts, *gets])
    assert done.returncode == 0, done.stderr
    whole = json.loads(done.stdout)
    assert (whole["opened"], whole["warmed"]) == (1, 1)
    *answers, ready, icon, card = whole["answers"]
    (expected,) = bundle.predict([picture], top=3)
    for answer in answers:
        assert answer["statusCode"] == 200
        (found,) = said(answer)["predictions"]
        assert [one["name"] for one in found["classes"]] == [name for name, _ in expected.classes]
        assert [one["probability"] for one in found["classes"]] == pytest.approx([p for _, p in expected.classes])
    assert said(ready) == {"status": "ready"}
    assert icon["statusCode"] == 200
    assert said(card)["limits"]["body_bytes"] * 4 / 3 <= 6e6  # of an event


def test_each_event_is_a_line_of_the_log(bundle: Bundle) -> None:
    done = fed(bundle, [event_v2("POST", "/predict", png(bundle))] * 2)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["event"], line["route"], line["status"]) for line in lines] == 2 * [("request", "/predict", 200)]


def test_what_is_wrong_with_a_request_is_said(bundle: Bundle) -> None:
    done = fed(bundle, [event_v2("POST", "/predict", b"no picture"), event_v1("GET", "/nowhere")])
    broken, nowhere = json.loads(done.stdout)["answers"]
    assert broken["statusCode"] == 415
    assert "not an image" in said(broken)["error"]
    assert nowhere["statusCode"] == 404


def test_a_key_is_asked_for(bundle: Bundle) -> None:
    picture = png(bundle)
    key = {"authorization": "Bearer 0123456789abcdef"}
    events = [event_v2("POST", "/predict", picture), event_v2("POST", "/predict", picture, **key)]
    done = fed(bundle, events, SIGHTLINE_API_KEY="0123456789abcdef")
    assert [answer["statusCode"] for answer in json.loads(done.stdout)["answers"]] == [401, 200]


def test_look_alikes_come_with_an_index(bundle: Bundle, deployment: Callable[[str], Path]) -> None:
    events = [event_v2("POST", "/similar", png(bundle)), event_v2("GET", "/pictures/3")]
    done = fed(bundle, events, SIGHTLINE_INDEX=str(deployment("aws") / "index"))
    similar, picture = json.loads(done.stdout)["answers"]
    assert len(said(similar)["similar"][0]["neighbours"]) == 12
    assert picture["isBase64Encoded"]
    assert base64.b64decode(picture["body"])[:2] == b"\xff\xd8"


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"SIGHTLINE_RUN": ""}, "nothing to serve: let SIGHTLINE_RUN name a run or a bundle"),
        ({"SIGHTLINE_API_KEY": ""}, "SIGHTLINE_API_KEY"),
        ({"SIGHTLINE_API_KEY": "short"}, "SIGHTLINE_API_KEY"),
        ({"SIGHTLINE_RUN": "nowhere"}, "nowhere"),
    ],
)
def test_a_container_that_cannot_serve_says_why_as_it_starts(
    environment: dict[str, str], why: str, bundle: Bundle
) -> None:
    done = fed(bundle, [], AWS_LAMBDA_RUNTIME_API="127.0.0.1:1", **environment)
    assert done.returncode == 1
    assert "UserError" in done.stderr.splitlines()[-1]
    assert why in done.stderr.splitlines()[-1]
