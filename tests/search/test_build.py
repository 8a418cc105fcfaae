"""Building an Index: vectors that cannot be searched are named, a kill loses nothing, readers never see a half."""

from __future__ import annotations

import dataclasses
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline import api
from sightline.bundle import Answer, Bundle
from sightline.core.errors import UserError
from sightline.data.dataset import Dataset
from sightline.search.build import build
from sightline.search.embeddings import Embeddings
from sightline.search.index import STORE, Index
from sightline.search.items import Items
from tests.tiny_network import make_bundle


@pytest.fixture(scope="module")
def bundle(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "bundle", digits)


class Saying:
    """A Bundle that gives the pictures, by their place, what `says` does."""

    def __init__(self, bundle: Bundle, says: Any) -> None:
        self.bundle, self.says = bundle, says

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bundle, name)

    def stream(self, pictures: Sequence[str], **_: Any) -> Iterator[Answer]:
        for place, picture in enumerate(pictures):
            yield Answer(picture, embedding=np.asarray(self.says(place), np.float32))


def few(digits: Dataset, count: int, place: Path) -> Dataset:
    """A Dataset of so many of the digits, as files."""
    for number, row in enumerate(digits.rows("train")[:count]):
        folder = place / digits.classes[digits.table.label[row]]
        folder.mkdir(parents=True, exist_ok=True)
        digits.picture(row).save(folder / f"{number}.png")
    found: Dataset = api.prepare(place, place.parent / f"{place.name}-data")
    return found


def test_vectors_that_are_all_equal_are_refused(digits: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    alike: Any = Saying(bundle, lambda place: np.ones(64))
    for pca in ("auto", "none", 3):
        with pytest.raises(UserError, match=r"all 1,797 pictures have the same embedding: .* use another"):
            build(digits, alike, tmp_path / "index", pca=pca)  # type: ignore[arg-type]


@pytest.mark.parametrize(("value", "words"), [(0.0, "zero"), (np.nan, "not a number"), (np.inf, "not a number")])
def test_a_vector_without_direction_names_its_picture(
    digits: Dataset, bundle: Bundle, tmp_path: Path, value: float, words: str
) -> None:
    drawn = np.random.default_rng(0).normal(size=(1797, 64))
    drawn[1234] = value
    row = np.sort(np.concatenate([digits.rows(split) for split in ("train", "validation", "test")]))[1234]
    with pytest.raises(UserError, match=f"{digits.table.path[row]}: its embedding is {words}, so nothing is near it"):
        build(digits, Saying(bundle, drawn.__getitem__), tmp_path / "index")  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [2, 4, 12])
def test_fewer_pictures_than_neighbours(digits: Dataset, bundle: Bundle, tmp_path: Path, count: int) -> None:
    dataset = few(digits, count, tmp_path / "few")
    index = build(dataset, bundle, tmp_path / "index", k=5)
    assert (len(index), index.document["backend"]["name"]) == (count, "exact")
    with pytest.raises(
        UserError, match=f"{count + 1} neighbours were asked for, .* holds {count}: ask for 1 to {count}"
    ):
        index.search(dataset.name_of(0), count + 1)
    assert index.search(dataset.name_of(0), count)[0].distance == pytest.approx(0, abs=1e-6)


def test_appending_and_forgetting_is_building_anew(digits: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    few(digits, 80, photos)
    first = build(api.prepare(photos), bundle, tmp_path / "index", pca=8)
    for number in (3, 40):
        next(photos.rglob(f"{number}.png")).unlink()
    for number, row in enumerate(digits.rows("test")[:20]):
        digits.picture(row).save(photos / digits.classes[digits.table.label[row]] / f"new-{number}.png")
    dataset = api.prepare(photos)
    grown, anew = (build(dataset, bundle, tmp_path / place, pca=8) for place in ("index", "anew"))
    assert (len(first), len(grown)) == (80, 98)
    assert np.array_equal(grown.vectors, anew.vectors)
    assert np.array_equal(grown.items.names, anew.items.names)
    with Embeddings.opened(tmp_path / "index" / STORE, bundle) as kept:
        ours = kept._connection.execute("SELECT count(*) FROM kept").fetchone()
    assert ours == (98,)


def test_pictures_that_are_there_again_are_embedded(digits: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    gone = dataclasses.replace(digits, root=tmp_path / "nowhere")
    with pytest.raises(UserError, match="no picture that can be read"):
        build(gone, bundle, tmp_path / "index", pca="none", method="exact")
    assert len(build(digits, bundle, tmp_path / "index", pca="none", method="exact")) == 1797


def test_what_is_beside_an_index_stays(digits: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "index"
    build(digits, bundle, out, pca=8, method="exact")
    for name in ("v1.bak", "notes", ".hidden"):
        (out / name).mkdir()
    (out / ".v7.abc").mkdir()  # a killed job's
    (out / ".v0.abc").mkdir()  # and what it tuned with
    (out / ".index.json.abc").write_text("")
    build(digits, bundle, out, pca=8, method="exact")
    names = {path.name for path in out.iterdir()}
    assert names == {"v1.bak", "notes", ".hidden", STORE, "index.json", "v2"}
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.json").write_text("{}")
    with pytest.raises(UserError, match="exists and is no index"):
        build(digits, bundle, tmp_path / "site")


def test_a_replaced_index_of_another_network_is_said(digits: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    build(digits, bundle, tmp_path / "index", pca=8, method="exact")
    held = Index.open(tmp_path / "index")
    build(digits, make_bundle(tmp_path / "other", digits, scale=3.0), tmp_path / "index", pca=8, method="exact")
    assert held.search(3, 2)[0].row == 3
    with pytest.raises(UserError, match="was made anew with another network since it was opened: open it again"):
        held.search(digits.name_of(3))


KILLED = """
import os, signal, sys, threading, time
from sightline.bundle import Bundle
from sightline.data.dataset import Dataset
from sightline.search.build import build
data, bundle, out, after = sys.argv[1:]
data, bundle = Dataset.open(data), Bundle.open(bundle)
def die():
    time.sleep(float(after))
    os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=die, daemon=True).start()
while True:
    build(data, bundle, out, pca=16, method="exact")
"""


def test_killed_at_any_moment_the_index_is_whole(digits: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    out, chance = tmp_path / "index", random.Random()
    before = build(digits, bundle, out, pca=16, method="exact")
    vectors = np.array(before.vectors)
    moments = [chance.uniform(0, 1.5) for _ in range(4)]
    for after in moments:
        command = [sys.executable, "-c", KILLED, str(digits.path), str(bundle.path), str(out), str(after)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, (after, done.stderr)
        index = Index.open(out)
        assert np.array_equal(index.vectors, vectors), moments
        assert index.search(digits.name_of(7), 1)[0].picture == digits.name_of(7)
    last = build(digits, bundle, out, pca=16, method="exact")
    assert sorted(path.name for path in out.iterdir()) == [STORE, "index.json", last.place.name]  # nothing is left over


def test_readers_see_the_old_index_or_the_new_one(digits: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    out, name = tmp_path / "index", digits.name_of(7)
    build(digits, bundle, out, pca=16, method="exact")
    seen: set[tuple[str, int]] = set()
    failures: list[Exception] = []
    stop = threading.Event()

    def read() -> None:
        held = Index.open(out)  # its network is opened when it is first asked for
        while not stop.is_set():
            try:
                index = Index.open(out)
                assert index.search(index.items.row_of(digits.table.path[7]) or 0, 1)[0].picture == name
                seen.add((index.document["version"], index.vectors.shape[1]))
                assert held.search(name, 1)[0].picture == name  # what was opened before goes on
            except Exception as error:
                failures.append(error)
                return

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for turn in range(6):
            build(digits, bundle, out, pca=8 + turn, method="exact")
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert not failures, failures[0]
    assert {dims for _, dims in seen} <= {16, *range(8, 14)}
    assert len(seen) > 1


def test_two_at_once_and_the_second_is_refused(digits: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    build(digits, bundle, tmp_path / "index", pca=8, method="exact")
    with Embeddings.opened(tmp_path / "index" / STORE, bundle):
        code = "import sys; from sightline.cli import run; sys.exit(run(sys.argv[1:]))"
        arguments = ["index", str(digits.path), "--run", str(bundle.path), "--out", str(tmp_path / "index")]
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "index is being written by another process: wait for it" in done.stderr
    assert len(Index.open(tmp_path / "index")) == 1797


def test_a_full_disk_leaves_the_old_index(
    digits: Dataset, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    few(digits, 60, photos)
    old = build(api.prepare(photos), bundle, tmp_path / "index", pca="none")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8), np.uint8)).save(photos / "0" / "new.png")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Items, "save", full)
    with pytest.raises(UserError, match=r"cannot write the index .*index: No space left on device"):
        build(api.prepare(photos), bundle, tmp_path / "index", pca="none")
    monkeypatch.undo()
    assert np.array_equal(Index.open(tmp_path / "index").vectors, old.vectors)
    assert [path.name for path in (tmp_path / "index").iterdir() if path.name.startswith(".")] == []
    assert len(build(api.prepare(photos), bundle, tmp_path / "index", pca="none")) == 61


def test_opening_reads_no_vectors(digits: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    index = build(digits, bundle, tmp_path / "index", method="exact", pca="none")
    opened = Index.open(index.path)
    for mapped in (opened.vectors, opened.items.table, opened.items.names):
        assert isinstance(mapped.base, np.memmap)
