from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core.errors import UserError
from sightline.data.archives import Limits, extract
from tests.strategies import file_names, member_names

KINDS = ["zip", "tar", "tar.gz", "tar.xz", "tar.bz2"]


def pack(path: Path, members: list[tuple[str, bytes]]) -> Path:
    """An archive of the kind `path` is named after, its members named as they are."""
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members:
                info = zipfile.ZipInfo("x")
                info.filename = name
                archive.writestr(info, data, zipfile.ZIP_DEFLATED)
        return path
    with tarfile.open(path, "w:" + path.name.partition(".tar")[2].lstrip(".")) as archive:  # type: ignore[call-overload]
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def told(archive: Path, out: Path) -> str:
    """The UserError's message, or nothing when all went well."""
    try:
        extract(archive, out)
    except UserError as error:
        return str(error)
    return ""


def target(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.parametrize("kind", KINDS)
def test_extracts_exactly(tmp_path: Path, kind: str) -> None:
    members = {"a/1.jpg": b"one", "a/b/two \n.jpg": os.urandom(3_000_000), "é.jpg": b"", "c\\d.jpg": b"4"}
    out = target(tmp_path)
    extract(pack(tmp_path / f"x.{kind}", list(members.items())), out)
    assert contents(out) == {name.replace("\\", "/"): data for name, data in members.items()}


def test_the_first_bytes_decide_not_the_suffix(tmp_path: Path) -> None:
    """A tar whose last member is a zip ends like a zip."""
    inner = pack(tmp_path / "inner.zip", [("x", b"x")]).read_bytes()
    outer = pack(tmp_path / "outer.tar", [("a", b"a"), ("inner.zip", inner)])
    out = target(tmp_path)
    extract(outer.rename(tmp_path / "outer.zip"), out)
    assert set(contents(out)) == {"a", "inner.zip"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "..\\x", "C:\\x", "c:x", "a/.."])
def test_escapes_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    with pytest.raises(UserError, match="outside its folder"):
        extract(pack(tmp_path / f"x.{kind}", [("ok", b"1"), (name, b"2")]), target(tmp_path))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@given(st.lists(st.tuples(member_names | file_names, st.binary(max_size=20)), max_size=6), st.sampled_from(KINDS[:2]))
def test_extraction_never_escapes(members: list[tuple[str, bytes]], kind: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if kind == "zip":
            members = [(name.encode("utf-8", "replace").decode(), data) for name, data in members]
        archive = pack(root / f"x.{kind}", members)
        out = root / "deep" / "out"
        out.mkdir(parents=True)
        assert "\n" not in told(archive, out)
        outside = {p for p in root.rglob("*") if out not in (p, *p.parents)}
        assert outside == {archive, root / "deep"}
        assert not any(p.is_symlink() for p in root.rglob("*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        info = tarfile.TarInfo("a")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(UserError, match="link or device"):
        extract(tmp_path / "x.tar", target(tmp_path))
    assert not os.listdir(tmp_path / "out")


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        info = zipfile.ZipInfo("a")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(UserError, match="link or device"):
        extract(tmp_path / "x.zip", target(tmp_path))


@pytest.mark.parametrize("kind", KINDS)
def test_bombs_are_refused(tmp_path: Path, kind: str) -> None:
    bomb = pack(tmp_path / f"x.{kind}", [("a.bmp", bytes(3 << 20))])
    limits = Limits(size_bytes=1 << 20) if kind == "tar" else Limits(ratio=50, free_bytes=1 << 20)
    with pytest.raises(UserError, match="archive bomb"):
        extract(bomb, target(tmp_path), limits=limits)
    assert sum(len(data) for data in contents(tmp_path / "out").values()) <= 2 << 20


def test_a_zip_that_lies_about_its_sizes_is_stopped(tmp_path: Path) -> None:
    """The header says 10 bytes; what is counted is what comes out."""
    path = pack(tmp_path / "x.zip", [("a.bmp", bytes(3 << 20))])
    data = path.read_bytes().replace((3 << 20).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(data)
    with pytest.raises(UserError):
        extract(path, target(tmp_path), limits=Limits(free_bytes=1 << 20))
    assert sum(len(data) for data in contents(tmp_path / "out").values()) <= 2 << 20


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="more than 3 files"):
        extract(pack(tmp_path / "x.zip", [(str(n), b"") for n in range(4)]), target(tmp_path), limits=Limits(files=3))


@pytest.mark.parametrize("name", ["/".join("a" * 80), "x" * 256, "é" * 130])
def test_names_too_long_or_deep_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="too long or too deep"):
        extract(pack(tmp_path / "x.tar", [(name, b"1")]), target(tmp_path))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a/b", "a")])
def test_one_name_twice_is_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    with pytest.raises(UserError, match="twice"):
        extract(pack(tmp_path / "x.zip", [(name, b"1") for name in names]), target(tmp_path))


@pytest.mark.parametrize("data", [b"", b"<html>404</html>", b"PK\3\4 and no more", b"\x1f\x8b\x08 no gzip"])
def test_what_is_no_archive(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(UserError, match=r"x\.zip"):
        extract(tmp_path / "x.zip", target(tmp_path))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_damage_gives_one_line(kind: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = pack(Path(folder) / f"x.{kind}", [("a/1.jpg", b"one" * 50), ("b.jpg", bytes(range(256)))])
        raw = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 5))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(raw[: data.draw(st.integers(len(raw) // 2, len(raw)))])
        (Path(folder) / "out").mkdir()
        assert "\n" not in told(path, Path(folder) / "out")


def test_encrypted_zips_are_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.zip", [("a", b"1")])
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(raw)
    with pytest.raises(UserError, match="encrypted"):
        extract(path, target(tmp_path))


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
def test_a_tar_header_of_a_terabyte_is_refused(tmp_path: Path, kind: str) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 40
    data = header.tobuf(tarfile.GNU_FORMAT) + bytes(5120)
    (tmp_path / f"a.{kind}").write_bytes(gzip.compress(data) if kind == "tar.gz" else data)
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="is damaged or no zip or tar"):
        extract(tmp_path / f"a.{kind}", tmp_path / "out")


def test_a_tar_whose_numbers_make_no_sense_is_damaged(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("x")
        member.pax_headers = {"GNU.sparse.map": "0,many", "GNU.sparse.size": "30"}
        archive.addfile(member)
    with pytest.raises(UserError, match="damaged"):
        extract(tmp_path / "a.tar", target(tmp_path))
