"""Downloads against a real server on this machine."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from sightline.core import download as module
from sightline.core.download import download, is_public
from sightline.core.errors import UserError
from tests.serving import CONTENT, Handler


def test_whole_file(server: str, tmp_path: Path) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    download(f"{server}/a.zip", tmp_path / "new" / "a.zip", sha256=digest.upper(), allow_private=True)
    assert (tmp_path / "new" / "a.zip").read_bytes() == CONTENT
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.zip"]


def test_goes_on_by_itself_where_it_broke_off(server: str, tmp_path: Path) -> None:
    download(f"{server}/broken", tmp_path / "a", allow_private=True)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert Handler.ranges == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_the_next_call_goes_on_where_the_last_one_broke_off(server: str, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(CONTENT[:1000])
    (tmp_path / "a.tag").write_text(Handler.etag)
    download(f"{server}/a", tmp_path / "a", allow_private=True)
    assert Handler.ranges == ["bytes=1000-"]
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_starts_anew_when_the_file_has_changed(server: str, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(b"old" * 100)
    (tmp_path / "a.tag").write_text('"other"')
    download(f"{server}/a", tmp_path / "a", allow_private=True)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_gives_up_when_a_try_brings_nothing(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.part").write_bytes(CONTENT[:1000])
    (tmp_path / "a.tag").write_text(Handler.etag)
    monkeypatch.setattr(Handler, "stop", 0)
    with pytest.raises(UserError, match="1,000 bytes are kept"):
        download(f"{server}/broken", tmp_path / "a", allow_private=True)
    assert not (tmp_path / "a").exists()


def test_another_checksum_is_refused_and_the_part_removed(server: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not have the SHA-256"):
        download(f"{server}/a", tmp_path / "a", sha256="0" * 64, allow_private=True)
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "a.part").exists()


def test_not_found(server: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="answers 404"):
        download(f"{server}/none", tmp_path / "a", allow_private=True)


def test_redirects_are_followed(server: str, tmp_path: Path) -> None:
    download(f"{server}/moved?{server}/a", tmp_path / "a", allow_private=True)
    assert (tmp_path / "a").read_bytes() == CONTENT


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_redirects_out_of_the_web_are_refused(server: str, tmp_path: Path, place: str) -> None:
    with pytest.raises(UserError):
        download(f"{server}/moved?{place}", tmp_path / "a", allow_private=True)
    assert not (tmp_path / "a").exists()


def test_private_addresses_are_refused(server: str, tmp_path: Path) -> None:
    for url in (server, server.replace("127.0.0.1", "localhost"), server.replace("127.0.0.1", "[::ffff:127.0.0.1]")):
        with pytest.raises(UserError, match="local network"):
            download(f"{url}/a", tmp_path / "a")
    assert Handler.ranges == []


def test_a_redirect_to_a_private_address_is_refused(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[str] = []

    def first_is_public(address: str) -> bool:
        judged.append(address)
        return len(judged) == 1

    monkeypatch.setattr(module, "is_public", first_is_public)
    with pytest.raises(UserError, match="local network"):
        download(f"{server}/moved?{server}/a", tmp_path / "a")
    assert len(judged) == 2
    assert Handler.ranges == []


def test_private_addresses_are_refused_before_a_proxy_is_asked(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server)
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(UserError, match="local network"):
        download("http://169.254.169.254/latest", tmp_path / "a")
    download("http://sightline.invalid/a", tmp_path / "a")  # a name that only the proxy knows
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_place_that_cannot_be_written(server: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("in the way")
    with pytest.raises(UserError, match="cannot keep the download"):
        download(f"{server}/a", tmp_path / "a" / "b", allow_private=True)


def test_unknown_hosts_and_closed_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    for url in ("http://sightline.invalid/a", "http://127.0.0.1:9/a"):
        with pytest.raises(UserError, match="offline"):
            download(url, tmp_path / "a", allow_private=True)


@pytest.mark.parametrize("url", ["ftp://example.org/x", "file:///etc/passwd", "a"])
def test_other_addresses_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(UserError, match="use http or https"):
        download(url, tmp_path / "d")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("::ffff:8.8.8.8", True), ("64:ff9b::808:808", True),
        ("10.0.0.1", False), ("127.0.0.1", False), ("169.254.169.254", False), ("192.168.1.1", False),
        ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False), ("::1", False), ("fe80::1%eth0", False),
        ("fd00::1", False), ("::ffff:10.0.0.1", False), ("64:ff9b::a00:1", False), ("2002:7f00:1::", False),
        ("fec0::1", False), ("::127.0.0.1", False),
    ],
)  # fmt: skip
def test_is_public(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize("extra", [b"", b"more"])
def test_a_part_that_is_all_there_already_is_finished(server: str, tmp_path: Path, extra: bytes) -> None:
    (tmp_path / "a.part").write_bytes(CONTENT + extra)
    (tmp_path / "a.tag").write_text(Handler.etag)
    download(f"{server}/a", tmp_path / "a", allow_private=True)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert len(Handler.ranges) == (2 if extra else 1)


def test_the_first_digits_of_a_checksum_suffice(server: str, tmp_path: Path) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    download(f"{server}/a", tmp_path / "a", sha256=digest[:8], allow_private=True)
    assert (tmp_path / "a").read_bytes() == CONTENT
    for wrong in (digest[:7], digest[1:9], digest + "0"):
        with pytest.raises(UserError, match="does not have the SHA-256"):
            download(f"{server}/a", tmp_path / "b", sha256=wrong, allow_private=True)
