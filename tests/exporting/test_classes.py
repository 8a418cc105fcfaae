from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.core.errors import UserError
from sightline.exporting.classes import read_class_names


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "tench\ngrey owl\n<b>\n"),
        ("a.txt", "\ufefftench\r\ngrey owl  \r\n<b>\r\n\r\n"),
        ("a.labels", "tench\ngrey owl\n<b>"),
        ("a.json", '["tench", "grey owl", "<b>"]'),
        ("a.json", '{"2": "<b>", "0": "tench", "1": "grey owl"}'),
        ("a.JSON", '{"0": ["n1", "tench"], "1": ["n2", "grey owl"], "2": ["n3", "<b>"]}'),
    ],
)
def test_every_form_gives_the_names_in_order(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    assert read_class_names(tmp_path / name) == ("tench", "grey owl", "<b>")


def test_imagenet(shared: Callable[[str], Path]) -> None:
    names = read_class_names(shared("data/imagenet_sample/imagenet_class_index.json"))
    assert len(set(names)) == 1000
    assert (names[0], names[999]) == ("tench", "toilet_tissue")
    assert [name for name in names if "crane" in name] == ["crane (134)", "crane (517)"]


def test_a_name_of_two_classes_gets_their_number(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("crane\nowl\ncrane\n")
    assert read_class_names(tmp_path / "a.txt") == ("crane (0)", "owl", "crane (2)")


@pytest.mark.parametrize(
    "content",
    ["", "{", "3", "null", '"abc"', "[1, 2]", "[[]]", '{"1": "a"}', '{"a": "b"}', '{"0": 1}', "[]", "{}", '["a", ""]',
     '["", "a"]', "[null]", '[["a", 1]]'],
)  # fmt: skip
def test_anything_else_is_told_on_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError, match=r"a\.json.*JSON list of names") as caught:
        read_class_names(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


def test_text_with_a_gap_undecodable_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("tench\n\nowl\n")
    with pytest.raises(UserError, match="no name for class 1"):
        read_class_names(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_bytes(json.dumps("ü", ensure_ascii=False).encode("latin1"))
    with pytest.raises(UserError, match="holds no class names"):
        read_class_names(tmp_path / "a.txt")
    for path in (tmp_path / "b.txt", tmp_path):
        with pytest.raises(UserError, match="cannot read the class names"):
            read_class_names(path)
