from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest

from sightline.core.errors import UserError
from sightline.data.dataset import Dataset
from sightline.data.pictures import PictureError, open_picture
from sightline.data.prepare import prepare
from tests.data.made import encoded, picture, write, write_classes


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    root = write_classes(tmp_path / "photos", {"cat": 8, "<b>dog": 6})
    write(root / "cat" / "empty.jpg", b"")
    write(root / "cat" / "line\nbreak.png", encoded(picture(500).convert("P"), "PNG"))
    return prepare(root, tmp_path / "out")


def test_rows_labels_and_pictures_belong_together(dataset: Dataset) -> None:
    rows = np.concatenate([dataset.rows(split) for split in ("train", "validation", "test")])
    assert rows.dtype == np.int64
    assert sorted(rows.tolist()) == [row for row in range(16) if dataset.table.path[row] != "cat/empty.jpg"]
    assert dataset.labels(rows).dtype == np.int64
    for row, label in zip(rows, dataset.labels(rows), strict=True):
        name = dataset.name_of(row)
        assert Path(name).parent.name == dataset.classes[label]
        assert np.array_equal(np.asarray(dataset.picture(row)), np.asarray(open_picture(name)))


def test_names_with_newlines_open(dataset: Dataset) -> None:
    row = dataset.table.path.index("cat/line\nbreak.png")
    assert dataset.name_of(row) == str(dataset.root / "cat" / "line\nbreak.png")
    assert dataset.picture(row).size == (64, 64)


def test_opening_gives_the_same(dataset: Dataset) -> None:
    again = Dataset.open(dataset.path)
    assert again.fingerprint == dataset.fingerprint
    assert again.summary() == dataset.summary()
    assert again.root == dataset.root
    assert prepare(dataset.path).summary() == dataset.summary()
    assert again.rows("test").tolist() == dataset.rows("test").tolist()


def test_the_summary_says_it_all(dataset: Dataset) -> None:
    summary = json.loads(json.dumps(dataset.summary()))
    assert summary["kind"] == "dataset"
    assert summary["classes"] == ["<b>dog", "cat"]
    assert summary["verdicts"] == {"fine": 14, "noted": 1, "quarantined": 1}
    assert summary["quarantined"] == [{"picture": "cat/empty.jpg", "reason": "empty file"}]
    assert summary["notes"] == {"palette": 1}
    assert summary["noted"] == [{"picture": "cat/line\nbreak.png", "notes": ["palette"]}]
    assert summary["noted_total"] == 1
    assert sum(sum(counts.values()) for counts in summary["counts"].values()) == 15
    assert summary["counts"]["train"].keys() == {"<b>dog", "cat"}
    assert summary["seed"] == 0


def test_summaries_can_be_encoded_whatever_files_are_called(tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9")
    root = write_classes(tmp_path / odd, {odd: 3, "dog": 3})
    write(root / odd / os.fsdecode(b"\xff.jpg"), b"")
    dataset = prepare(root, tmp_path / "out")
    assert json.dumps(dataset.summary(), ensure_ascii=False).encode()
    assert dataset.classes == ("caf\\xe9", "dog")
    assert dataset.picture(int(dataset.rows("train")[0])).size == (64, 64)
    assert dataset.summary()["quarantined"][0]["picture"] == "caf\\xe9/\\xff.jpg"


def test_unknown_splits(dataset: Dataset) -> None:
    with pytest.raises(UserError, match='did you mean "train"'):
        dataset.rows("trian")


def test_a_picture_that_has_gone(dataset: Dataset) -> None:
    row = int(dataset.rows("train")[0])
    Path(dataset.name_of(row)).unlink()
    with pytest.raises(PictureError, match="no such file"):
        dataset.picture(row)


def test_what_is_no_dataset(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.json is missing"):
        Dataset.open(tmp_path / "nothing")
    document = json.loads((dataset.path / "dataset.json").read_text())
    for damage in ({"kind": "run"}, {"format": 99}, {"classes": None}, {"classes": ["cat", "<b>dog"]}, {"root": 3}):
        (dataset.path / "dataset.json").write_text(json.dumps({**document, **damage}))
        with pytest.raises(UserError, match="make it again"):
            Dataset.open(dataset.path)
    (dataset.path / "dataset.json").write_text(json.dumps({key: document[key] for key in document if key != "name"}))
    with pytest.raises(UserError, match="lacks a part"):
        Dataset.open(dataset.path)
    (dataset.path / "dataset.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        Dataset.open(dataset.path)


def test_a_changed_manifest_is_refused(dataset: Dataset) -> None:
    changed = dataclasses.replace(dataset.table, label=np.zeros_like(dataset.table.label))
    changed.save(dataset.path / "manifest.parquet")
    with pytest.raises(UserError, match="does not match its fingerprint"):
        Dataset.open(dataset.path)


def test_a_part_has_fewer_training_pictures_and_all_else(dataset: Dataset) -> None:
    part = dataset.part(0.5, 3)
    rows, whole = part.rows("train"), dataset.rows("train")
    assert set(rows) < set(whole)
    for label, name in enumerate(dataset.classes):
        assert (part.labels(rows) == label).sum() == round(0.5 * (dataset.labels(whole) == label).sum()), name
    for split in ("validation", "test"):
        assert np.array_equal(part.rows(split), dataset.rows(split))
    assert part.path == dataset.path
    assert part.fingerprint != dataset.fingerprint
    assert dataset.part(0.5, 4).fingerprint != part.fingerprint
    assert dataset.part(0.5, 3).fingerprint == part.fingerprint
    assert dataset.part(1, 3) is dataset
    assert Dataset.open(dataset.path).rows("train").tolist() == whole.tolist()  # nothing was written


@pytest.mark.parametrize("share", [0, -1, 1.01, float("nan"), float("inf")])
def test_impossible_shares(dataset: Dataset, share: float) -> None:
    with pytest.raises(UserError, match="of the training pictures cannot be"):
        dataset.part(share, 0)
