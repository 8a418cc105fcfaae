from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core.artifact import check_vacant, directory, read_json, write_bytes, write_json, write_text
from sightline.core.errors import UserError


def test_a_directory_appears_whole(tmp_path: Path) -> None:
    with directory(tmp_path / "deep" / "a") as temporary:
        (temporary / "one").write_text("1")
        assert not (tmp_path / "deep" / "a").exists()
    assert (tmp_path / "deep" / "a" / "one").read_text() == "1"
    assert os.listdir(tmp_path / "deep") == ["a"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), directory(tmp_path / "a") as temporary:
        (temporary / "one").write_text("1")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_old_one(tmp_path: Path) -> None:
    with directory(tmp_path / "a") as temporary:
        (temporary / "one").write_text("old")
    with pytest.raises(RuntimeError), directory(tmp_path / "a", replace=True) as temporary:
        (temporary / "one").write_text("new")
        raise RuntimeError
    assert (tmp_path / "a" / "one").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_replacing_leaves_only_the_new_one(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with directory(tmp_path / "a", replace=True) as temporary:
            (temporary / text).write_text(text)
    assert os.listdir(tmp_path / "a") == ["new"]
    assert os.listdir(tmp_path) == ["a"]


def test_an_existing_directory_is_not_overwritten_by_accident(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match="exists already"), directory(tmp_path / "a"):
        pytest.fail("the block must not run")


def test_where_nothing_may_be_written_is_told_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(UserError, match=f"deep/er cannot be made, {tmp_path} may not be written to"):
        check_vacant(tmp_path / "deep" / "er")
    (tmp_path / "deep").mkdir()
    check_vacant(tmp_path / "deep" / "er")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="/proc is Linux's")
@pytest.mark.parametrize("folder", [Path("/proc"), Path("/proc/nowhere")])
def test_where_nothing_can_be_made_is_told(folder: Path) -> None:
    with pytest.raises(UserError, match=f"nothing can be made in {folder}: "), directory(folder / "here"):
        pass
    with pytest.raises(UserError, match=f"nothing can be made in {folder}: "):
        write_json(folder / "here.json", {})


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes(tmp_path / "a", b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_file_is_written_through_a_link_and_never_over_a_folder_or_device(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "aim")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "aim").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(UserError, match="is no file"):
            write_text(place, "x")
    assert Path("/dev/null").is_char_device()


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with directory(tmp_path / "d"):
            pass
        write_bytes(tmp_path / "f", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o644


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(document=st.dictionaries(st.text(), json_values, max_size=5))
def test_json_comes_back_equal(tmp_path_factory: pytest.TempPathFactory, document: dict[str, object]) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    write_json(path, document)
    assert read_json(path, "thing") == document


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00", '{"a": nope}'])
def test_damaged_json_is_a_user_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match="damaged thing"):
        read_json(tmp_path / "a.json", "thing")


def test_missing_json_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no thing at .*a\.json is missing"):
        read_json(tmp_path / "a.json", "thing")


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_the_old_one_is_put_back_when_the_swap_is_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    with directory(tmp_path / "a") as temporary:
        (temporary / "old").write_text("old")
    rename, renamed = Path.rename, []

    def cut_short(self: Path, target: Path) -> Path:
        renamed.append(target)
        if len(renamed) == 2:
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", cut_short)
    with pytest.raises(error), directory(tmp_path / "a", replace=True) as temporary:
        (temporary / "new").write_text("new")
    assert [p.name for p in tmp_path.rglob("*")] == ["a", "old"]


def test_json_that_may_not_be_read_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(UserError, match="cannot read the thing"):
        read_json(tmp_path / "a.json", "thing")
