from __future__ import annotations

import os
from pathlib import Path

import pytest

from sightline.core.errors import UserError
from sightline.data.layout import Layout, find_layout
from tests.data.made import encoded, picture, write

JPEG = encoded(picture(0, 16))


def tree(root: Path, *names: str) -> Path:
    """Files under `root`: a folder where the name ends in "/", a picture where it ends in ".jpg", else text."""
    for name in names:
        if name.endswith("/"):
            (root / name).mkdir(parents=True)
        else:
            write(root / name, JPEG if name.endswith(".jpg") else b"text")
    return root


def places(layout: Layout) -> dict[str, tuple[str, str]]:
    """Class and split by file name."""
    return {
        path: (layout.classes[label] if label >= 0 else "", split)
        for path, label, split in zip(layout.paths, layout.labels, layout.splits, strict=True)
    }


def found(root: Path) -> dict[str, tuple[str, str]]:
    return places(find_layout(root, "photos"))


@pytest.mark.parametrize("deep", ["", "a/", "a/b c/d/"])
def test_class_folders_however_deep(tmp_path: Path, deep: str) -> None:
    tree(tmp_path, f"{deep}cat/1.jpg", f"{deep}cat/more/2.jpg", f"{deep}dog/1.jpg", f"{deep}dog/notes.txt")
    assert found(tmp_path) == {
        f"{deep}cat/1.jpg": ("cat", ""),
        f"{deep}cat/more/2.jpg": ("cat", ""),
        f"{deep}dog/1.jpg": ("dog", ""),
        f"{deep}dog/notes.txt": ("dog", ""),
    }


@pytest.mark.parametrize("held_out", ["val", "valid", "validation", "Validation", "test", "TEST"])
@pytest.mark.parametrize("deep", ["", "a/b/"])
def test_split_trees(tmp_path: Path, deep: str, held_out: str) -> None:
    tree(tmp_path, f"{deep}train/cat/1.jpg", f"{deep}train/dog/1.jpg", f"{deep}{held_out}/cat/1.jpg")
    split = "test" if held_out.lower() == "test" else "validation"
    assert found(tmp_path) == {
        f"{deep}train/cat/1.jpg": ("cat", "train"),
        f"{deep}train/dog/1.jpg": ("dog", "train"),
        f"{deep}{held_out}/cat/1.jpg": ("cat", split),
    }


def test_train_alone_is_a_root(tmp_path: Path) -> None:
    tree(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg")
    assert set(found(tmp_path).values()) == {("cat", ""), ("dog", "")}


def test_a_train_may_be_a_vehicle(tmp_path: Path) -> None:
    tree(tmp_path, "train/1.jpg", "car/1.jpg", "test/1.jpg")
    assert find_layout(tmp_path, "").classes == ("car", "test", "train")


def test_a_test_folder_without_classes_holds_strays(tmp_path: Path) -> None:
    tree(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "test/1.jpg", "extra/9.jpg")
    layout = find_layout(tmp_path, "")
    assert layout.classes == ("cat", "dog")
    assert layout.strays == {0: "in no class folder", 1: "in no class folder"}
    assert layout.paths[:2] == ["extra/9.jpg", "test/1.jpg"]


def test_every_stray_file_is_listed_and_hidden_folders_hold_no_class(tmp_path: Path) -> None:
    strays = {
        "readme.txt": "in no class folder",
        "top.jpg": "in no class folder",
        "__MACOSX/cat/._1.jpg": "in the system folder __MACOSX",
        ".git/objects/1.jpg": "in the system folder .git",
        "cat/.ipynb_checkpoints/1-checkpoint.jpg": "in the system folder .ipynb_checkpoints",
        "cat/.ipynb_checkpoints/deep/x.jpg": "in the system folder .ipynb_checkpoints",
        "papers/a.pdf": "in no class folder",
    }
    tree(tmp_path, "cat/1.jpg", "dog/1.jpg", "dog/.hidden.jpg", *strays)
    layout = find_layout(tmp_path, "")
    assert layout.classes == ("cat", "dog")
    assert {layout.paths[row]: why for row, why in layout.strays.items()} == strays
    assert found(tmp_path)["dog/.hidden.jpg"] == ("dog", "")


def test_a_picture_without_a_suffix_makes_a_class(tmp_path: Path) -> None:
    write(tmp_path / "cat" / "one", JPEG)
    tree(tmp_path, "dog/1.jpg", "._junk/2.txt")
    assert find_layout(tmp_path, "").classes == ("cat", "dog")


def test_an_empty_folder_beside_classes_is_a_class_without_pictures(tmp_path: Path) -> None:
    tree(tmp_path, "cat/1.jpg", "dog/1.jpg", "fish/")
    assert find_layout(tmp_path, "").classes == ("cat", "dog", "fish")


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    tree(tmp_path / "elsewhere", "1.jpg")
    tree(tmp_path / "photos", "cat/1.jpg")
    (tmp_path / "photos" / "dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "cat" / "loop").symlink_to(tmp_path / "photos")
    assert found(tmp_path / "photos") == {"cat/1.jpg": ("cat", ""), "dog/1.jpg": ("dog", "")}


def test_names_that_are_no_text(tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9")
    tree(tmp_path, f"{odd}/\n<b>.jpg", "dog/\x1b[31m.jpg")
    layout = find_layout(tmp_path, "")
    assert layout.classes == ("caf\\xe9", "dog")
    assert layout.paths == [f"{odd}/\n<b>.jpg", "dog/\x1b[31m.jpg"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "photos is empty"),
        (("a/", "b/c/"), "photos is empty"),
        (("a.txt", "b/c.db"), "holds no picture among its 2 files"),
        (("cat/1.jpg", "cat/2.jpg", "readme.txt"), 'only one class, "cat"'),
        (("train/cat/1.jpg", "test/cat/1.jpg"), 'only one class, "cat"'),
        (("1.jpg", "2.jpg"), "its pictures in no class folder"),
    ],
)
def test_what_cannot_be_told_apart(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    tree(tmp_path, *names)
    with pytest.raises(UserError, match=message):
        find_layout(tmp_path, "photos")


def test_folders_nested_too_deep(tmp_path: Path) -> None:
    (tmp_path / Path(*["d"] * 220)).mkdir(parents=True)
    with pytest.raises(UserError, match="nested more than 200 deep"):
        find_layout(tmp_path, "photos")


def test_a_link_in_a_circle_is_a_file_like_others(tmp_path: Path) -> None:
    tree(tmp_path, "cat/1.jpg", "dog/1.jpg")
    (tmp_path / "cat" / "circle.jpg").symlink_to("circle.jpg")
    assert places(find_layout(tmp_path, "pets"))["cat/circle.jpg"] == ("cat", "")
