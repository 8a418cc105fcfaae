"""Labels from a CSV file: what people have, and what becomes of every row and every file."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from sightline.cli import run
from sightline.core.errors import UserError
from sightline.data.dataset import Dataset
from sightline.data.labels import find_labelled, read_labels
from sightline.data.prepare import prepare
from tests.data.made import encoded, picture, write

NAMES = [f"{number:02}.jpg" for number in range(12)]
CLASSES = ["cat", "dog", "eel"]
USUAL = "".join(f"{name},{CLASSES[number % 3]}\n" for number, name in enumerate(NAMES))


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures in one folder."""
    root = tmp_path_factory.mktemp("flat") / "photos"
    for number, name in enumerate(NAMES):
        write(root / name, encoded(picture(number)))
    return root


def table(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def found(dataset: Dataset) -> dict[str, str]:
    """The class of every used picture by name."""
    rows = np.flatnonzero(dataset.table.split != "")
    return {dataset.table.path[row]: dataset.classes[dataset.table.label[row]] for row in rows}


def reasons(dataset: Dataset) -> dict[str, str]:
    return {bad["picture"]: bad["reason"] for bad in dataset.summary()["quarantined"]}


EXPECTED = {name: CLASSES[number % 3] for number, name in enumerate(NAMES)}


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("plain", lambda text: text.encode()),
        ("windows lines", lambda text: text.replace("\n", "\r\n").encode()),
        ("mark", lambda text: b"\xef\xbb\xbf" + text.encode()),
        ("semicolons", lambda text: text.replace(",", ";").encode()),
        ("tabs", lambda text: text.replace(",", "\t").encode()),
        ("utf-16", lambda text: text.replace(",", "\t").encode("utf-16")),
        ("blanks", lambda text: text.replace(",", " ,  ").replace("\n", " \n\n").encode()),
        ("quotes", lambda text: ('"' + text.replace(",", '","').replace("\n", '"\n"'))[:-1].encode()),
        ("no last line end", lambda text: text.rstrip().encode()),
        ("repeated", lambda text: (text + text.split("\n", 1)[1]).encode()),
        ("empty cells", lambda text: text.replace("\n", ",,\n").encode()),
    ],
)
def test_the_forms_a_table_comes_in(flat: Path, tmp_path: Path, kind: str, change: object) -> None:
    file = table(tmp_path / "labels.csv", change("Image ID,Label\n" + USUAL))  # type: ignore[operator]
    dataset = prepare(flat, tmp_path / "out", labels=file)
    assert found(dataset) == EXPECTED
    said = dataset.summary()["labels"]
    assert (said["rows"], said["repeated"], said["without_file"]) == ((24, 12, 0) if kind == "repeated" else (12, 0, 0))


@pytest.mark.parametrize(
    ("header", "places"),
    [
        ("label,file", (1, 0)),
        ("FileName;Class;kids", (0, 1)),
        ("id,image,sender,category", (1, 3)),
        ("image-path,target,label,name", (0, 2)),
    ],
)
def test_columns_are_known_by_their_names(tmp_path: Path, header: str, places: tuple[int, int]) -> None:
    separator = ";" if ";" in header else ","
    cells = [f"c{number}" for number in range(header.count(separator) + 1)]
    labels = read_labels(table(tmp_path / "l.csv", f"{header}\n{separator.join(cells)}\n"))
    assert (labels.rows[0].picture, labels.rows[0].label) == tuple(f"c{place}" for place in places)
    assert (labels.rows[0].line, labels.splits) == (2, False)


@pytest.mark.parametrize(
    "spelling",
    [
        "deep/er/{}.jpg",
        "./deep/er/{}.jpg",
        "deep\\er\\{}.jpg",
        "er/{}.jpg",
        "{}.jpg",
        "{}",
        "er/{}",
        "ROOT/deep/er/{}.jpg",
    ],
)
def test_the_ways_to_name_a_picture(flat: Path, tmp_path: Path, spelling: str) -> None:
    root = tmp_path / "photos"
    shutil.copytree(flat, root / "deep" / "er")
    write(root / "deep" / ".ipynb_checkpoints" / "00.jpg", encoded(picture(99)))  # which nobody means
    spelled = spelling.replace("ROOT", str(root))
    text = "".join(f"{spelled.format(name[:2])},{label}\n" for name, label in EXPECTED.items())
    dataset = prepare(root, tmp_path / "out", labels=table(tmp_path / "l.csv", "file,label\n" + text))
    assert found(dataset) == {f"deep/er/{name}": label for name, label in EXPECTED.items()}


def test_accents_that_a_mac_took_apart(tmp_path: Path) -> None:
    write(tmp_path / "photos" / "e\u0301te\u0301.jpg", encoded(picture(1)))
    layout, _ = find_labelled(
        tmp_path / "photos", "photos", read_labels(table(tmp_path / "l.csv", "file,label\n\u00e9t\u00e9.jpg,summer\n"))
    )
    assert layout.classes == ("summer",)


def test_every_file_and_every_row_is_accounted_for(flat: Path, tmp_path: Path) -> None:
    """No row, no label, two labels, two splits, no file, twice the same."""
    root = tmp_path / "photos"
    shutil.copytree(flat, root)
    write(root / "notes.txt", b"no picture")
    rows = [
        *(f"{name},{label},train" for name, label in EXPECTED.items() if name > "03.jpg"),
        "01.jpg,,train",
        "02.jpg,cat,train",
        "02.jpg,dog,train",
        "03.jpg,dog,train",
        "03.jpg,dog,val",
        "gone.jpg,dog,",
        ",dog,",
        "04.jpg,dog,train",
    ]
    file = table(tmp_path / "my labels.csv", "file,label,split\n" + "\n".join(rows))
    dataset = prepare(root, tmp_path / "out", labels=file, validation_frac=0, test_frac=0.3)
    assert found(dataset) == {name: label for name, label in EXPECTED.items() if name > "03.jpg"}
    assert reasons(dataset) == {
        "00.jpg": "no row in my labels.csv",
        "01.jpg": "no label in my labels.csv, line 10",
        "02.jpg": "two labels in my labels.csv, lines 11 and 12: cat and dog",
        "03.jpg": "two splits in my labels.csv, lines 13 and 14: train and validation",
        "notes.txt": "not an image",
    }
    said = dataset.summary()["labels"]
    assert (said["rows"], said["repeated"], said["without_file"]) == (16, 3, 2)
    assert said["lost"] == [
        {"line": 15, "picture": "gone.jpg", "label": "dog"},
        {"line": 16, "picture": "", "label": "dog"},
    ]


def test_splits_are_kept_and_an_empty_one_is_train(flat: Path, tmp_path: Path) -> None:
    parts = ["Train", "", "val", "TEST", "validation", "test"] * 2
    text = "".join(
        f"{n},{'cat' if i < 6 else 'dog'},{part}\n" for i, (n, part) in enumerate(zip(NAMES, parts, strict=True))
    )
    dataset = prepare(flat, tmp_path / "out", labels=table(tmp_path / "l.csv", "file,label,split\n" + text))
    expected = {"train": [0, 1, 6, 7], "validation": [2, 4, 8, 10], "test": [3, 5, 9, 11]}
    assert {split: dataset.rows(split).tolist() for split in expected} == expected


def test_folders_say_nothing_where_a_table_does(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for number, name in enumerate(NAMES):
        write(root / "train" / ("a" if number % 2 else "b") / name, encoded(picture(number)))
    dataset = prepare(root, tmp_path / "out", labels=table(tmp_path / "l.csv", "file,label\n" + USUAL))
    assert dataset.classes == ("cat", "dog", "eel")
    assert len(dataset.rows("test")) > 0


def test_an_archive_of_flat_pictures(flat: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "photos"), "zip", flat.parent, "photos")
    before = Path(archive).read_bytes()
    dataset = prepare(archive, tmp_path / "out", labels=table(tmp_path / "l.csv", "file,label\n" + USUAL))
    assert found(dataset) == {f"photos/{name}": label for name, label in EXPECTED.items()}
    assert Path(archive).read_bytes() == before


def test_labels_hold_until_they_change_or_others_are_given(
    flat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "photos"
    shutil.copytree(flat, root)
    file = table(tmp_path / "l.csv", "file,label\n" + USUAL)
    first = prepare(root, labels=file, seed=3)
    age = (first.path / "dataset.json").stat().st_mtime_ns
    assert prepare(root).fingerprint == first.fingerprint
    assert (first.path / "dataset.json").stat().st_mtime_ns == age
    table(file, "file,label\n" + USUAL.replace("eel", "emu"))
    changed = prepare(root)
    assert changed.classes == ("cat", "dog", "emu")
    assert changed.document["seed"] == 3
    assert changed.fingerprint != first.fingerprint
    file.rename(tmp_path / "elsewhere.csv")
    assert prepare(root).fingerprint == changed.fingerprint  # nothing else changed
    write(root / "new.jpg", encoded(picture(77)))
    with pytest.raises(UserError, match=r"the labels of .* were in .*l\.csv: put it back"):
        prepare(root)
    assert Dataset.open(changed.path).fingerprint == changed.fingerprint
    assert reasons(prepare(root, labels=tmp_path / "elsewhere.csv")) == {"new.jpg": "no row in elsewhere.csv"}


BAD = {
    "empty": ("", "is empty"),
    "blank": ("\n  \n", "is empty"),
    "header alone": ("file,label\n", "has no rows"),
    "no picture": (
        "photo,label\n1,cat\n",
        r"no column for the picture: call it path.* or id \(there are photo, label\)",
    ),
    "no label": ("file;kind\n1;cat\n", r"no column for the label.*there are file, kind"),
    "one column": ("file\n00.jpg\n", "no column for the label"),
    "two columns of a name": ("file,label,Label\n00.jpg,cat,dog\n", "two columns called label"),
    "too many cells": ("file,label\n00.jpg,cat\n01.jpg,a, b\n", "line 3 of .* has 3 cells, its header 2"),
    "split": ("file,label,split\n00.jpg,cat,train\n01.jpg,dog,holdout\n", 'line 3 .* the split "holdout": use train'),
    "latin-1": (b"file,label\n00.jpg,cat\n01.jpg,\xe9t\xe9\n", "line 3 of .* is not UTF-8"),
    "zip": (b"PK\x03\x04\0\0\0\0file,label", "zero bytes"),
    "open quote": ('file,label\n00.jpg,"cat\n01.jpg,dog\n', "is no CSV: unexpected end of data"),
    "other pictures": ("file,label\nx.jpg,cat\ny.jpg,dog\n", r'no row of .* names a file .* holds 00\.jpg.* "x\.jpg"'),
    "one class": ("file,label\n00.jpg,cat\n01.jpg,cat\n", "one class only"),
    "a class in the test part only": (
        "file,label,split\n" + USUAL.replace("\n", ",train\n").replace("eel,train", "eel,test"),
        'class "eel" of .* has no good picture to train on, it is in test only: add some, or remove',
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_tables_that_are_none(flat: Path, tmp_path: Path, case: str) -> None:
    text, message = BAD[case]
    file = table(tmp_path / "l.csv", text)
    with pytest.raises(UserError, match=message) as caught:
        prepare(flat, tmp_path / "out", labels=file)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l.csv"]


def test_a_name_that_fits_two_files(flat: Path, tmp_path: Path) -> None:
    shutil.copytree(flat, tmp_path / "photos" / "a")
    shutil.copytree(flat, tmp_path / "photos" / "b")
    file = table(tmp_path / "l.csv", "file,label\n" + USUAL)
    with pytest.raises(UserError, match=r"line 2 of .*l\.csv may mean a/00\.jpg or b/00\.jpg"):
        prepare(tmp_path / "photos", tmp_path / "out", labels=file)


def test_places_without_a_table(flat: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read the labels in .*gone\.csv: No such file"):
        prepare(flat, tmp_path / "out", labels=tmp_path / "gone.csv")
    with pytest.raises(UserError, match=r"cannot read the labels in .*: Is a directory"):
        prepare(flat, tmp_path / "out", labels=tmp_path)
    made = prepare("digits", tmp_path / "digits").path
    with pytest.raises(UserError, match="is a Dataset already: give --labels with the pictures"):
        prepare(made, labels=table(tmp_path / "l.csv", "file,label\n" + USUAL))
    with pytest.raises(UserError, match="digits brings its own labels"):
        prepare("digits", tmp_path / "out", labels=table(tmp_path / "l.csv", "file,label\n" + USUAL))


def test_the_verb_tells_what_became_of_the_rows(
    flat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(flat, tmp_path / "photos")
    table(tmp_path / "l.csv", "file,label\n" + USUAL + "gone.jpg,<b>yak</b>\n")
    assert run(["data", "photos", "--labels", "l.csv"]) == 0
    output = capsys.readouterr().out
    assert "labels: 13 rows in" in output
    assert "gone.jpg" in output
    page = (tmp_path / "datasets" / "photos" / "report.html").read_text(encoding="utf-8")
    assert "gone.jpg (line 14)" in page
