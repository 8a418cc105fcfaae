"""The Index: built, opened, searched; whole or not at all; refused when its parts do not belong together."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.bundle import Bundle
from sightline.core.errors import UserError
from sightline.data.dataset import Dataset
from sightline.data.layout import SPLITS
from sightline.search import build as module
from sightline.search.build import build
from sightline.search.index import Index
from tests.tiny_network import make_bundle


@pytest.fixture(scope="module")
def bundle(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "bundle", digits)


@pytest.fixture(scope="module")
def built(digits: Dataset, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Every vector as it is, compared with every other."""
    return build(digits, bundle, tmp_path_factory.mktemp("indexes") / "digits", pca="none", method="exact")


@pytest.fixture
def copy(built: Index, tmp_path: Path) -> Path:
    """A copy of the built index to be spoilt."""
    return Path(shutil.copytree(built.path, tmp_path / "copy"))


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_it_holds_every_usable_picture(built: Index, digits: Dataset) -> None:
    assert len(built) == built.document["count"] == 1797 == sum(len(digits.rows(s)) for s in SPLITS)
    assert np.allclose(np.linalg.norm(built.vectors, axis=1), 1, atol=1e-6)
    first = digits.rows("train")[0]
    row = built.items.row_of(digits.table.path[first])
    assert built.items.split(row) == "train"
    assert built.items.label(row) == digits.classes[digits.table.label[first]]


def test_the_document(built: Index, bundle: Bundle) -> None:
    document = json.loads((built.path / "index.json").read_text())
    assert document == built.document
    assert document["model_hash"] == bundle.model_hash
    assert document["backend"] == {"name": "exact", "parameters": {}}
    assert (document["pca"], document["pca_table"], document["tuning"]) == (None, None, None)
    assert document["quality"]["neighbour_accuracy"] > 0.9
    assert document["skipped"] == []


def test_projected_and_tuned_it_finds_what_the_whole_does(
    built: Index, digits: Dataset, bundle: Bundle, tmp_path: Path
) -> None:
    index = build(digits, bundle, tmp_path / "tuned")
    document = index.document
    assert document["dim"] == document["pca"]["dims"] == document["pca_table"]["chosen"] < 64
    assert index.vectors.shape == (1797, document["dim"])
    assert document["backend"]["name"] == document["tuning"]["chosen"]["method"]
    chosen = document["tuning"]["chosen"]
    assert chosen["method"] == "exact" or chosen["recall_low"] >= document["tuning"]["target_recall"] == 0.99
    assert document["quality"]["neighbour_accuracy"] > built.document["quality"]["neighbour_accuracy"] - 0.01
    name = digits.name_of(9)
    assert index.search(name, 1)[0].picture == name
    whole, reduced = ({n.picture for n in one.search(name, 20)} for one in (built, index))
    assert len(whole & reduced) > 10


@pytest.mark.parametrize(("pca", "whiten"), [(3, False), (7, True)])
def test_as_many_dimensions_as_asked_for(
    pca: int, whiten: bool, digits: Dataset, bundle: Bundle, tmp_path: Path
) -> None:
    index = build(digits, bundle, tmp_path / "index", pca=pca, whiten=whiten, method="exact", metric="euclidean")
    assert index.vectors.shape == (1797, pca)
    variances = index.vectors.var(0)
    assert np.allclose(variances, 1, atol=0.01) == whiten
    assert (index.document["pca"]["whitened"], index.document["metric"]) == (whiten, "euclidean")
    near = index.search(digits.name_of(3), 5)
    own = np.linalg.norm(index.vectors - index.vectors[near[0].row], axis=1)
    assert [n.distance for n in near] == pytest.approx(np.sort(own)[:5].tolist(), abs=1e-3)


def test_more_dimensions_than_there_are(digits: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--pca 65: these vectors of 64 numbers span \d+ dimensions"):
        build(digits, bundle, tmp_path / "index", pca=65)
    with pytest.raises(UserError, match="--whiten is for projected vectors"):
        build(digits, bundle, tmp_path / "index", pca="none", whiten=True)
    with pytest.raises(UserError, match=r"--target-recall 1\.5: a recall is above 0 and at most 1"):
        build(digits, bundle, tmp_path / "index", target_recall=1.5)
    assert not (tmp_path / "index" / "index.json").exists()


def test_a_picture_finds_itself_first(built: Index, digits: Dataset) -> None:
    name = digits.name_of(digits.rows("test")[5])
    neighbours = built.search(name, k=5)
    assert neighbours[0].picture == name
    assert neighbours[0].distance == pytest.approx(0, abs=1e-6)
    assert [n.distance for n in neighbours] == sorted(n.distance for n in neighbours)
    assert len({n.row for n in neighbours}) == 5
    for n in neighbours:
        assert os.path.isabs(n.picture)
        assert (built.items.label(n.row), built.items.split(n.row)) == (n.label, n.split)


def test_neighbours_mostly_bear_the_same_label(built: Index) -> None:
    hits = [
        n.label == built.items.label(row) for row in range(0, 1797, 40) for n in built.search(built.vectors[row], 5)
    ]
    assert np.mean(hits) > 0.9


def test_picture_bytes_and_vectors_find_alike(built: Index, digits: Dataset, tmp_path: Path) -> None:
    row = 17
    digits.picture(row).save(tmp_path / "query.png")
    by_name = built.search(digits.name_of(row), 4)
    assert built.search((tmp_path / "query.png").read_bytes(), 4) == by_name
    assert built.search(tmp_path / "query.png", 4) == by_name
    scaled = [n.row for n in built.search(1000.0 * built.vectors[by_name[0].row], 4)]
    assert scaled == [n.row for n in by_name]


def test_many_are_searched_for_as_each_alone(built: Index, digits: Dataset, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    names = [digits.name_of(row) for row in range(0, 1700, 40)]
    queries = [*names[:5], 7, tmp_path / "bad.png", built.vectors[3], *names[5:], 5000]
    found = list(built.search_each(queries, k=3, exclude_self=True))
    assert "bad.png" in str(found[6])
    assert "no row 5000" in str(found[-1])
    for query, several in zip(queries, found, strict=True):
        if isinstance(several, UserError):
            with pytest.raises(UserError) as error:
                built.search(query, k=3, exclude_self=True)
            assert str(error.value) == str(several)
            continue
        alone = built.search(query, k=3, exclude_self=True)
        assert [one.row for one in several] == [one.row for one in alone]
        np.testing.assert_allclose([one.distance for one in several], [one.distance for one in alone], atol=1e-6)


def test_a_batch_is_its_queries_one_by_one(built: Index) -> None:
    distances, rows = built.search_batch(built.vectors[:40], 3)
    for query in range(40):
        one_by_one = built.search(built.vectors[query], 3)
        assert distances[query] == pytest.approx([n.distance for n in one_by_one], abs=1e-5)
    assert rows.shape == (40, 3)
    assert built.search_batch(built.vectors[:0], 3)[0].shape == (0, 3)


def test_it_stands_alone(copy: Path, digits: Dataset, bundle: Bundle) -> None:
    index = Index.open(copy)
    assert index.bundle.path == copy / "v1" / "bundle"
    assert index.search(digits.name_of(3), 1)[0].picture == digits.name_of(3)


@pytest.mark.parametrize("k", [0, -1, 1798])
def test_more_or_fewer_neighbours_than_there_are(built: Index, k: int) -> None:
    with pytest.raises(UserError, match=rf"{k} neighbours were asked for, .*digits holds 1797: ask for 1 to 1797"):
        built.search(built.vectors[0], k)
    assert len(built.search(built.vectors[0], 1797)) == 1797


def test_queries_without_direction_or_of_another_kind(built: Index, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="query 2: its embedding is zero"):
        built.search_batch(np.array([np.ones(64), np.zeros(64)], np.float32))
    with pytest.raises(UserError, match=r"this index takes \[Q, 64\]"):
        built.search(np.ones(63, np.float32))
    (tmp_path / "cat.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"cat\.jpg: empty file"):
        built.search(tmp_path / "cat.jpg")
    with pytest.raises(UserError, match="picture 1: not an image"):
        built.search(b"no picture at all")


def test_the_same_data_gives_the_same_index(built: Index, digits: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    again = build(digits, bundle, tmp_path / "again", pca="none", method="exact")
    assert np.array_equal(again.vectors, built.vectors)
    assert np.array_equal(again.items.table, built.items.table)
    assert np.array_equal(again.items.names, built.items.names)


def test_pictures_that_are_gone_are_left_out_and_listed(digits: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    paths = list(digits.table.path)
    paths[4] = "images.npy#99999"
    spoilt = dataclasses.replace(digits, table=dataclasses.replace(digits.table, path=paths))
    index = build(spoilt, bundle, tmp_path / "index")
    assert len(index) == 1796
    (skipped,) = index.document["skipped"]
    assert skipped["picture"].endswith("images.npy#99999")
    assert "no such row" in skipped["reason"]
    row = index.items.row_of(paths[5])
    assert index.items.label(row) == digits.classes[digits.table.label[5]]  # the columns did not slip
    assert index.search(digits.name_of(5), 1)[0].picture == digits.name_of(5)


def test_rebuilding_replaces_the_old_one_also_with_its_own_bundle(copy: Path, digits: Dataset) -> None:
    old = Index.open(copy)
    new = build(digits, old.bundle, copy, pca="none", method="exact")
    assert np.array_equal(new.vectors, old.vectors)  # a reader of the old one keeps working
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


@pytest.mark.parametrize("content", ["photo.jpg", None])
def test_what_is_no_index_is_never_replaced(
    digits: Dataset, bundle: Bundle, tmp_path: Path, content: str | None
) -> None:
    out = tmp_path / "mine"
    if content:
        out.mkdir()
        (out / content).write_text("precious")
    else:
        out.write_text("precious")
    with pytest.raises(UserError, match="exists and is no index"):
        build(digits, bundle, out)
    assert (out / content if content else out).read_text() == "precious"


def test_a_build_that_fails_leaves_the_old_one(
    copy: Path, digits: Dataset, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "describe", full)
    with pytest.raises(UserError, match=r"cannot write the index .*copy: No space left on device"):
        build(digits, bundle, copy)
    assert sorted(path.name for path in copy.iterdir()) == ["embeddings.sqlite", "index.json", "v1"]
    assert len(Index.open(copy)) == 1797


def test_no_picture_can_be_read(digits: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    gone = dataclasses.replace(digits, root=tmp_path / "nowhere")
    with pytest.raises(UserError, match="no picture that can be read"):
        build(gone, bundle, tmp_path / "index")
    with pytest.raises(UserError, match="is not finished: give the `sightline index` that began it again"):
        Index.open(tmp_path / "index")


def test_no_index_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no index at"):
        Index.open(tmp_path)


@pytest.mark.parametrize("kept", [0, 10, 1000, -4])
def test_truncated_vectors(copy: Path, kept: int) -> None:
    data = (copy / "v1" / "vectors.npy").read_bytes()
    (copy / "v1" / "vectors.npy").write_bytes(data[:kept])
    with pytest.raises(UserError, match=r"vectors\.npy is missing or truncated"):
        Index.open(copy)


@pytest.mark.parametrize(
    "vectors", [np.zeros((1796, 64), np.float32), np.zeros((1797, 64)), np.zeros((1797, 64), np.float32, "F")]
)
def test_vectors_of_another_shape_or_kind(copy: Path, vectors: np.ndarray) -> None:
    np.save(copy / "v1" / "vectors.npy", vectors)
    with pytest.raises(UserError, match=r"index\.json says float32 \[1797, 64\]"):
        Index.open(copy)


def test_vectors_are_never_unpickled(copy: Path) -> None:
    np.save(copy / "v1" / "vectors.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(UserError, match="missing or truncated"):
        Index.open(copy)


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("index.json", {"format": 1}, "format 1, this Sightline reads 3"),
        ("index.json", {"count": "many"}, "count in index.json is missing or wrong"),
        ("index.json", {"backend": {"name": "exactt"}}, 'no search method "exactt", did you mean "exact"'),
        ("index.json", {"model_hash": "f" * 64}, "made by network ffffffffffff and holds"),
        ("index.json", {"preprocess": {}}, "another preprocess than its bundle's"),
        ("index.json", {"version": "../v1"}, "version in index.json is missing or wrong"),
        ("v1/bundle/bundle.json", {"files": 3}, "and holds none"),
    ],
)
def test_parts_that_do_not_belong_together(copy: Path, file: str, changes: dict[str, Any], message: str) -> None:
    rewrite(copy / file, **changes)
    with pytest.raises(UserError, match=message):
        Index.open(copy)


@pytest.mark.parametrize("file", ["index.json", "v1/items.npy", "v1/names.npy", "v1/bundle/bundle.json"])
def test_damaged_and_missing_files(copy: Path, file: str) -> None:
    data = (copy / file).read_bytes()
    (copy / file).write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="damaged"):
        Index.open(copy)
    (copy / file).unlink()
    with pytest.raises(UserError, match=r"missing|not finished"):
        Index.open(copy)


def test_a_flipped_byte_in_the_network_is_noticed_before_it_embeds(copy: Path, digits: Dataset) -> None:
    data = bytearray((copy / "v1/bundle/model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (copy / "v1/bundle/model.onnx").write_bytes(bytes(data))
    with pytest.raises(UserError, match=r"model\.onnx does not match its checksum"):
        Index.open(copy).search(digits.name_of(0))


def test_searching_needs_neither_torch_nor_pyarrow(built: Index, digits: Dataset) -> None:
    code = (
        f"import sys; from sightline.search.index import Index; i = Index.open({str(built.path)!r});"
        f"assert len(i.search({digits.name_of(0)!r}, 3)) == 3;"
        "print([m for m in ('torch', 'pyarrow', 'scipy', 'sklearn', 'altair', 'onnx') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("asked", [{"label": "3"}, {"split": "test"}, {"label": "7", "split": "train"}])
def test_a_part_is_searched_alone(built: Index, digits: Dataset, asked: dict[str, str]) -> None:
    part, query = built.where(**asked), digits.name_of(digits.rows("validation")[2])
    kept = [
        row for row in range(len(built)) if all(getattr(built.items, key)(row) == value for key, value in asked.items())
    ]
    assert len(part) == len(kept) < len(built)
    found = part.search(query, 9)
    ranked = [n for n in built.search(query, len(built)) if n.row in set(kept)][:9]
    assert [n.distance for n in found] == pytest.approx([n.distance for n in ranked], abs=1e-6)
    assert all(getattr(n, key) == value for n in found for key, value in asked.items())
    assert {n.row for n in found} <= set(kept)
    assert all(n.picture == built.name_of(n.row) == part.name_of(n.row) for n in found)


def test_a_part_that_is_empty_is_said(built: Index) -> None:
    with pytest.raises(UserError, match='has class "33", did you mean "3"'):
        built.where(label="33")
    with pytest.raises(UserError, match=r"10 neighbours were asked for, .* holds 3"):
        narrowed = built.where(label="1", split="test")
        dataclasses.replace(narrowed, rows=narrowed.rows[:3]).search(built.vectors[0], 10)


@pytest.mark.parametrize("part", [{}, {"split": "train"}])
def test_a_picture_is_not_its_own_neighbour_unless_asked_for(
    built: Index, digits: Dataset, part: dict[str, str]
) -> None:
    row = built.items.row_of(digits.table.path[digits.rows("train")[4]])
    index = built.where(**part)
    for query in (row, built.name_of(row)):
        assert index.search(query, 4)[0].row == row
        others = index.search(query, 4, exclude_self=True)
        assert row not in {n.row for n in others}
        assert [n.row for n in others[:3]] == [n.row for n in index.search(query, 4)[1:]]
        assert len(others) == 4
    with pytest.raises(UserError, match=f"holds {len(index) - 1}: ask for 1 to {len(index) - 1}"):
        index.search(row, len(index), exclude_self=True)
    assert len(index.search(built.vectors[row], len(index), exclude_self=True)) == len(index)  # none of the pictures
    assert index.search(np.int64(row), 4) == index.search(row, 4)


def test_rows_that_are_not_there(built: Index) -> None:
    for row in (-1, 1797):
        with pytest.raises(UserError, match=f"has no row {row}: its rows are 0 to 1796"):
            built.search(row)
