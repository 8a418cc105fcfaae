"""An image installs what a run-time install does, at the versions that are here."""

from __future__ import annotations

import re
from importlib import metadata

import pytest

from sightline.deploy.requirements import LAMBDA, pinned


def test_every_line_is_a_version_that_is_installed() -> None:
    for line in pinned():
        name, _, version = line.partition("==")
        assert metadata.version(name) == version


def test_what_the_service_imports_is_there_and_what_trains_is_not() -> None:
    names = {line.partition("==")[0] for line in pinned()}
    assert {"fastapi", "uvicorn", "uvloop", "onnxruntime", "numpy", "pillow", "starlette", "pydantic-core"} <= names
    assert not names & {"torch", "kornia", "scikit-learn", "pyarrow", "altair", "sightline", "pytest", "mangum"}


def test_lambda_needs_two_more() -> None:
    more = set(pinned(*LAMBDA)) - set(pinned())
    assert {re.split("[=>]", line)[0] for line in more} >= {"mangum", "awslambdaric"}


def test_what_is_for_linux_alone_stays_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version

    def without_uvloop(name: str) -> str:
        if name == "uvloop":
            raise metadata.PackageNotFoundError
        return version(name)

    monkeypatch.setattr(metadata, "version", without_uvloop)
    assert [line for line in pinned() if line.startswith("uvloop")] == ["uvloop>=0.21"]


def test_markers_are_read_for_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    required = {"sightline": ["numpy; platform_system != 'Linux'", "jinja2; platform_system == 'Linux'"]}
    monkeypatch.setattr(metadata, "requires", lambda name: required.get(name, []))
    assert [line.partition("==")[0] for line in pinned()] == ["jinja2"]
