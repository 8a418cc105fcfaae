"""Every key of every document is in docs/anatomy.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sightline.anatomy import ideas, papers, published
from sightline.anatomy.arithmetic import convolution
from sightline.anatomy.trace import trace

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "anatomy.md").read_text(encoding="utf-8")
DOCUMENTS = {
    "anatomy": trace("resnet20").document,
    "papers": papers.table,
    "ideas": ideas.table,
    "published": published.table,
    "convolution": lambda: convolution((9, 9, 3), filters=2, kernel=3),
}

ABSENT = {"kind", "networks", "html", "png"}  # of no single network, or only where a drawing was asked for


def keys(value: Any) -> Iterator[str]:
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from keys(inner)
    if isinstance(value, dict):
        yield from value


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_every_key_is_explained_and_nothing_else(kind: str) -> None:
    document = DOCUMENTS[kind]()
    curves = set(document.get("scaling", ()))  # named as people name them, not keys to explain
    part = next(part for part in re.split(r"\n### ", PAGE) if part.startswith(f"`{kind}`"))
    assert document["kind"] == kind
    found = set(keys(document)) - curves - {"kind"}
    assert found <= set(re.findall(r"`(\w+)`", part))
    first_column = " ".join(re.findall(r"^\| ([^|]+) \|", part, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", first_column)) - found <= ABSENT
