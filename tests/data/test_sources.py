from __future__ import annotations

import http.server
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from sightline.core.errors import UserError
from sightline.core.progress import SILENT
from sightline.data.prepare import prepare
from sightline.data.sources import locate
from tests.data.made import write, write_classes


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a folder that holds photos.zip; the cache is a folder of the test's own."""
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    root = write_classes(tmp_path / "in", {"cat": 3, "dog": 3})
    (tmp_path / "served").mkdir()
    with zipfile.ZipFile(tmp_path / "served" / "my photos.zip", "w") as archive:
        for file in root.rglob("*.jpg"):
            archive.write(file, file.relative_to(root))
    handler = partial(Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/my%20photos.zip?version=1"
        server.shutdown()


def test_addresses(address: str, tmp_path: Path) -> None:
    first = prepare(address, tmp_path / "a", allow_private=True)
    assert first.name == "my photos"
    assert sum(first.summary()["verdicts"].values()) == 6
    (tmp_path / "served" / "my photos.zip").unlink()
    assert prepare(address, tmp_path / "b", allow_private=True).fingerprint == first.fingerprint, "fetched twice"
    with pytest.raises(UserError, match="answers 404"):
        prepare(address.replace("my", "other"), tmp_path / "c", allow_private=True)


def test_private_addresses_need_leave(address: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="local network"):
        prepare(address, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_another_checksum(address: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not have the SHA-256"):
        prepare(address, tmp_path / "a", sha256="0" * 64, allow_private=True)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.zip", "a"),
        ("a b.TAR.GZ", "a b"),
        ("x.tar.xz", "x"),
        (".zip", "pictures"),
        ("a.v2.tgz", "a.v2"),
        ("odd", "odd"),
    ],
)
def test_names(tmp_path: Path, file: str, name: str) -> None:
    assert locate(write(tmp_path / file, b"x"), None, False, SILENT).name == name


def test_a_path_comes_before_a_built_in_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert locate("digits", None, False, SILENT).path is None
    write_classes(tmp_path / "digits", {"a": 1})
    assert locate("digits", None, False, SILENT).path == tmp_path / "digits"


def test_a_folders_identity_changes_with_its_files(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "photos", {"cat": 2})

    def state() -> str:
        return locate(root, None, False, SILENT).identity["state"]

    before = state()
    assert state() == before
    write(root / "cat" / "new.jpg", b"")
    after = state()
    assert after != before
    (root / "cat" / "new.jpg").rename(root / "cat" / "newer.jpg")
    assert state() != after
