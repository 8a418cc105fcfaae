"""Lists of distortions: what can be written is read again, and what cannot be read is told by file, entry and key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sightline.core.errors import UserError
from sightline.data.augment import (
    DISTORTIONS,
    PRESETS,
    Distortion,
    Mixing,
    in_full,
    read,
    reads_mirrored,
    suited,
    written,
)
from sightline.data.augment.movements import Mirror, Rotation
from tests.data.distorted import setting

alone = [
    setting(kind, place, p=p) for kind in DISTORTIONS.values() for place in range(len(kind.shown)) for p in (0.3, 1)
]
lists = st.lists(st.sampled_from(alone), max_size=8).map(
    lambda found: sorted(found, key=lambda d: isinstance(d, Mixing))
)


@given(lists)
def test_a_list_survives_yaml_and_json(tmp_path_factory: pytest.TempPathFactory, entries: list[Distortion]) -> None:
    path = tmp_path_factory.mktemp("lists") / "list.yaml"
    path.write_text(yaml.safe_dump(written(entries)))
    assert read(str(path)) == tuple(entries)
    assert read(json.loads(json.dumps(written(entries)))) == tuple(entries)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_can_be_written_as_a_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text(yaml.safe_dump(PRESETS[name]))
    assert read(name) == name
    assert read(path) == in_full(name)
    path.write_text(yaml.safe_dump(written(in_full(name))))
    assert read(path) == in_full(name)


def test_a_file_may_say_a_name_alone_or_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("- mirror\n- rotation:\n- rotation: {degrees: 20}\n- blur:\n    sigma: [0, 0.02]\n    p: 0.3\n")
    mirror, plain, turned, blur = read(path)
    assert (mirror, plain, turned) == (Mirror(), Rotation(), Rotation(degrees=20))
    assert written([blur]) == [{"blur": {"p": 0.3, "sigma": [0.0, 0.02]}}]


WRONG = {
    "text.yaml: must be a list of distortions, one an entry, as `- rotation: {degrees: 15}`; [] is none": [
        "", "mirror", "rotation: {degrees: 15}", "3", "# nothing",
    ],
    'text.yaml, entry 2: unknown distortion "rotaton", did you mean "rotation"?': [
        "- mirror\n- rotaton: {degrees: 15}", "[mirror, rotaton]",
    ],
    'text.yaml, entry 1: unknown distortion "2026-11-22"; there are mirror, padded_crop, ': ["- 2026-11-22"],
    "text.yaml, entry 1: write one distortion an entry, as `- rotation: {degrees: 15}`": [
        "- {mirror: {}, rotation: {}}", "- rotation:\n  degrees: 15", "- []", "- [mirror]", "- {}",
    ],
    "text.yaml, entry 1 (rotation): settings go by their names (p, degrees), as `- rotation: {degrees: 15}`": [
        "- rotation: 15", "- rotation: [15]",
    ],
    'text.yaml, entry 1 (rotation): unknown key "degree", did you mean "degrees"?': ["- rotation: {degree: 15}"],
    'text.yaml, entry 1 (rotation): unknown key "<<"; it has p, degrees': ["- rotation: {<<: {degrees: 3}}"],
    'text.yaml, entry 1 (mirror): unknown key "colour"; it has p': ["- mirror: {colour: red}"],
    "text.yaml, entry 1 (shear): degrees must be less than or equal to 60 (it is 400)": ["- shear: {degrees: 400}"],
    "text.yaml, entry 1 (shear): degrees must be greater than or equal to 0 (it is -1)": ["- shear: {degrees: -1}"],
    "text.yaml, entry 1 (rotation): degrees must be a valid number": [
        "- rotation: {degrees: yes}", "- rotation: {degrees: ''}", "- rotation: {degrees: [1, 2]}",
        "- rotation: {degrees: {a: b}}",
    ],
    "text.yaml, entry 1 (rotation): degrees must be a finite number (it is": [
        "- rotation: {degrees: nan}", "- rotation: {degrees: inf}", "- rotation: {degrees: 1e999}",
    ],
    "text.yaml, entry 1 (mirror): p must be less than or equal to 1 (it is 50)": ["- mirror: {p: 50}"],
    "text.yaml, entry 1 (erasing): area must be two numbers, [least, most] (it is 0.2)": ["- erasing: {area: 0.2}"],
    "text.yaml, entry 1 (erasing): area must be two numbers, [least, most]": [
        "- erasing: {area: [0.2]}", "- erasing: {area: [0, 0.2, 0.3]}", "- erasing: {area: {from: 0, to: 1}}",
    ],
    "text.yaml, entry 1 (erasing): area must be [least, most], and 0.3 is above 0.2": ["- erasing: {area: [0.3, 0.2]}"],
    "text.yaml, entry 1 (erasing): area must be less than or equal to 1 (it is 20)": ["- erasing: {area: [0.2, 20]}"],
    "text.yaml, entry 1 (randaugment): count must be a valid integer": ["- randaugment: {count: 2.5}"],
    "text.yaml, entry 2 (mixup): finished pictures are mixed: move it to the end": ["- mirror\n- mixup\n- blur"],
    'text.yaml, line 2: this is not YAML, "p" stands there twice': ["- mirror\n- rotation: {p: 1, degrees: 3, p: 0}"],
    "text.yaml, line 1: this is not YAML, ": ["- {", "- mirror: }", "\t- mirror", "- &a [*a]", "- ? [x]\n  : y"],
    "text.yaml, line 2: this is not YAML, ": ["- mirror\n- mirror: {p: 1", "- mirror\n-- mirror"],
    "text.yaml: this is not YAML, ": ["[" * 5000, "- \x00", "- mirror\x1b"],
}  # fmt: skip


@pytest.mark.parametrize(("said", "text"), [(said, text) for said, texts in WRONG.items() for text in texts])
def test_what_is_wrong_is_told_in_one_line(
    said: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        read("text.yaml")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_what_is_no_text_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos.zip").write_bytes(b"PK\x03\x04\xff\xfe" * 100)
    Path("long.yaml").write_text("- mirror\n" * 200_000)
    for name, said in {
        "photos.zip": "photos.zip: this is not YAML, ",
        "long.yaml": "long.yaml: too long",
        "stron": '"stron" is neither a file nor one of none, mirror, standard, paper, strong, did you mean "strong"?',
        ".": "is neither a file nor one of",
        "": "is neither a file nor one of",
        "no\x00file": "is neither a file nor one of",
        "x" * 5000: "is neither a file nor one of",
    }.items():
        with pytest.raises(UserError) as caught:
            read(name)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)


names = st.sampled_from(["mirror", "rotation", "p", "degrees"]) | st.text(max_size=5)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=9
)


@given(anything)
def test_any_list_is_read_or_refused_in_one_line(entry: Any) -> None:
    said = ""
    try:
        read([entry])
    except UserError as error:
        said = str(error)
    assert "\n" not in said


def test_a_preset_leaves_out_what_does_not_suit_and_a_list_is_refused() -> None:
    def objection(distortion: Distortion) -> str | None:
        return "they are letters" if isinstance(distortion, Mirror) else None

    assert [entry.name for entry in suited("standard", objection)] == ["padded_crop"]
    assert suited(in_full("standard")[1:], objection) == in_full("standard")[1:]
    with pytest.raises(UserError, match=r"--augment, entry 1 \(mirror\): they are letters"):
        suited(in_full("standard"), objection)


@pytest.mark.parametrize(
    ("classes", "mirrored"), [("0123456789", False), ("abc", False), (("cat", "dog"), True), (("1", "ten"), True)]
)
def test_letters_and_digits_do_not_read_mirrored(classes: tuple[str, ...], mirrored: bool) -> None:
    assert reads_mirrored(tuple(classes)) is mirrored
