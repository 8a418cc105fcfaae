"""The service answers as its OpenAPI description says it does, whatever it is asked."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi import checks

from tests.serve.running import Client, Running

CHECKS = [
    schemathesis.checks.not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
    checks.response_schema_conformance, checks.response_headers_conformance,
]  # fmt: skip
OF_DIGITS = [
    ("POST", "/predict"), ("POST", "/embed"), ("POST", "/similar"), ("GET", "/pictures/{row}"), ("GET", "/model"),
    ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"),
]  # fmt: skip
PATIENT = settings(
    max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None,
    phases=[Phase.generate],
)  # fmt: skip


def check(client: Client, method: str, path: str, mode: GenerationMode) -> set[int]:
    """Ask what the description lets one ask, or does not; the statuses that came."""
    document = client.get("/openapi.json").json
    schema = schemathesis.openapi.from_dict(document)
    came: set[int] = set()

    @PATIENT
    @given(schema[path][method].as_strategy(generation_mode=mode))
    def holds(case: Case) -> None:
        response = case.call(base_url=client.url, timeout=60)
        came.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    holds()
    return came


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(("method", "path"), OF_DIGITS)
def test_it_does_as_it_says(service: Running, method: str, path: str, mode: GenerationMode) -> None:
    if mode is GenerationMode.NEGATIVE and path in ("/model", "/healthz", "/readyz", "/metrics"):
        assert service.ask("GET", path + "?a=b", b"body").status == 200  # there is nothing in them to be wrong
        return
    came = check(service, method, path, mode)
    assert came
    assert method == "GET" or came <= {200, 400, 413, 415, 422}


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_it_explains_as_it_says(explainer: Running, mode: GenerationMode) -> None:
    assert check(explainer, "POST", "/explain", mode) <= {200, 400, 413, 415, 422}


def resolved(document: Any, schema: Any) -> Any:
    return document["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def check_described(client: Client, path: str, body: bytes, status: int = 200) -> None:
    """An answer validates against its schema, as JSON Schema means it, and has nothing besides."""
    import jsonschema

    document = client.get("/openapi.json").json
    responses = document["paths"][path.partition("?")[0]]["post"]["responses"]
    schema = responses[str(status)]["content"]["application/json"]["schema"]
    answer = client.post(path, body)
    assert answer.status == status
    jsonschema.validate(answer.json, {**schema, "components": document["components"]})
    assert set(answer.json) == set(resolved(document, schema)["properties"])


@pytest.mark.parametrize("path", ["/predict?top=3", "/embed", "/similar?k=4"])
def test_good_answers_are_those_described(service: Running, tests: list[bytes], path: str) -> None:
    check_described(service, path, tests[0])
    check_described(service, path, b"GIF89a", 422)
    check_described(service, path, b"", 400)


def test_a_good_explanation_is_as_described(explainer: Running, tests: list[bytes]) -> None:
    check_described(explainer, "/explain?class=hat", tests[0])
    check_described(explainer, "/explain?class=cat", tests[0], 422)


@pytest.mark.parametrize("path", ["/predict", "/healthz", "/model", "/similar", "/pictures/3", "/"])
def test_other_methods_are_refused_with_those_that_are_not(service: Running, path: str) -> None:
    for method in ("PUT", "DELETE", "PATCH", "TRACE"):
        answer = service.ask(method, path)
        assert (answer.status, answer.error) == (405, "method not allowed")
        assert answer.headers["Allow"]
