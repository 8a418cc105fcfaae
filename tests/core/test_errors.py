from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sightline.core.errors import closest, first_line, named


@given(st.text(st.characters()))
def test_a_name_fits_one_line(name: str) -> None:
    shown = named(name)
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")


def test_names_stay_readable() -> None:
    assert named("a b\né\udcff\x1b") == "a b\\né\\udcff\\x1b"


def test_someone_elses_error_is_told_in_one_line() -> None:
    assert first_line(ValueError("bad\x1b\nmore")) == "bad\\x1b"
    assert first_line(MemoryError()) == "MemoryError"
    assert first_line("gone") == "gone"


def test_the_nearest_choice_is_offered() -> None:
    assert closest("resnet19", ["resnet18", "googlenet"]) == ', did you mean "resnet18"?'
    assert closest("zzz", ["resnet18", "googlenet"]) == ""
