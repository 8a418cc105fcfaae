from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import UserError
from sightline.data import builtins
from sightline.data.builtins import BUILTINS, Builtin, digits, fetch
from tests.data.made import write

CONTENT = gzip.compress(b"pictures")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def fetched(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A built-in "letters" of one file, and the addresses it was fetched from."""
    addresses: list[str] = []

    def download(url: str, target: Path, **options: Any) -> None:
        addresses.append(url)
        write(target, CONTENT)

    monkeypatch.setattr(builtins, "download", download)
    md5 = hashlib.md5(CONTENT).hexdigest()
    monkeypatch.setitem(BUILTINS, "letters", Builtin("https://example.org/d/", {"letters.gz": md5}))
    return addresses


def test_files_are_fetched_once(cache: Path, fetched: list[str]) -> None:
    for _ in range(2):
        assert (fetch("letters") / "letters.gz").read_bytes() == CONTENT
    assert fetched == ["https://example.org/d/letters.gz"]


def test_files_put_there_by_hand_serve(cache: Path, fetched: list[str]) -> None:
    write(cache / "letters" / "letters.gz", CONTENT)
    fetch("letters")
    assert fetched == []


def test_another_file_is_refused(cache: Path, fetched: list[str]) -> None:
    write(cache / "letters" / "letters.gz", b"other")
    with pytest.raises(UserError, match="is not the published file"):
        fetch("letters")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10"])
def test_offline_the_error_says_which_file_to_put_where(
    cache: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def offline(url: str, target: Path, **options: Any) -> None:
        raise UserError("cannot fetch it; are you offline?")

    monkeypatch.setattr(builtins, "download", offline)
    builtin = BUILTINS[name]
    assert builtin is not None
    first = next(iter(builtin.files))
    with pytest.raises(UserError) as caught:
        fetch(name)
    message = str(caught.value)
    assert f"put {first} from {builtin.address} into {cache / name}" in message
    assert "\n" not in message


def test_the_published_mnist_sums_fit(cache: Path, shared: Callable[[str], Path]) -> None:
    (cache / "mnist").symlink_to(shared("data/mnist"))
    assert fetch("mnist") == cache / "mnist"


def test_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    arrays, bunch = digits(), load_digits()
    assert arrays.images.shape == (1797, 8, 8)
    assert arrays.images.max() == 255
    assert np.array_equal(np.round(arrays.images * (16 / 255)), bunch.images)
    assert arrays.labels.tolist() == bunch.target.tolist()
    assert set(arrays.splits) == {""}


def test_a_file_damaged_inside_its_gzip_is_not_the_published_one(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b"digits" * 5000))
    packed[20:40] = b"\xff" * 20
    (tmp_path / "a.gz").write_bytes(packed)
    assert builtins._md5(tmp_path / "a.gz", unpacked=True) == ""
