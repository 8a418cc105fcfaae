"""From a source to a Dataset: what people have, what they do wrong, and what must hold whatever they give."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from sightline.core import artifact
from sightline.core.errors import UserError
from sightline.data import archives
from sightline.data.dataset import Dataset
from sightline.data.pictures import open_picture
from sightline.data.prepare import prepare
from tests.data.made import encoded, picture, write, write_classes
from tests.strategies import file_names

SPLITS = ("train", "validation", "test")


def zipped(folder: Path, path: Path) -> Path:
    """A zip of the files in `folder`, their names relative to it."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


def counts(dataset: Dataset) -> dict[str, int]:
    return {split: len(dataset.rows(split)) for split in SPLITS}


def state(root: Path) -> dict[str, tuple[int, int, str]]:
    """Every file below `root` with its age, mode and content."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_mode, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in files
    }


def test_the_courses_case(tmp_path: Path) -> None:
    """PetImages.zip: 0 KB pictures, .tar and .db strays, a few good cats and dogs, the root one folder deep."""
    pets = write_classes(tmp_path / "in" / "PetImages", {"Cat": 9, "Dog": 8})
    for name in ("Cat/666.jpg", "Dog/11702.jpg"):
        write(pets / name, b"")
    for name in ("Cat/Thumbs.db", "Dog/Thumbs.db"):
        write(pets / name, b"\xd0\xcf\x11\xe0" + bytes(500))
    write(pets / "Dog" / "leftover.tar", bytes(10240))
    write(pets.parent / "__MACOSX" / "PetImages" / "Cat" / "._001.jpg", b"\0\5\x16\7" + bytes(80))
    write(pets.parent / "readme[1].txt", b"Microsoft")
    write(pets / "Cat" / "half.jpg", (pets / "Cat" / "003.jpg").read_bytes()[:800])
    write(pets / "Dog" / "copy.jpg", (pets / "Dog" / "000.jpg").read_bytes())
    write(pets / "Dog" / "a cat.jpg", (pets / "Cat" / "004.jpg").read_bytes())
    archive = zipped(pets.parent, tmp_path / "PetImages.zip")
    dataset = prepare(archive, tmp_path / "out")
    summary = dataset.summary()
    assert summary["name"] == "PetImages"
    assert summary["classes"] == ["Cat", "Dog"]
    assert {bad["picture"]: bad["reason"] for bad in summary["quarantined"]} == {
        "PetImages/Cat/004.jpg": "same picture under two classes: Cat and Dog",
        "PetImages/Cat/666.jpg": "empty file",
        "PetImages/Cat/Thumbs.db": "not an image",
        "PetImages/Cat/half.jpg": "truncated or corrupt",
        "PetImages/Dog/11702.jpg": "empty file",
        "PetImages/Dog/Thumbs.db": "not an image",
        "PetImages/Dog/a cat.jpg": "same picture under two classes: Cat and Dog",
        "PetImages/Dog/copy.jpg": "exact duplicate of PetImages/Dog/000.jpg",
        "PetImages/Dog/leftover.tar": "not an image",
        "__MACOSX/PetImages/Cat/._001.jpg": "not an image",
        "readme[1].txt": "not an image",
    }
    for split in SPLITS:
        assert all(summary["counts"][split][name] >= 1 for name in ("Cat", "Dog"))
    assert sum(counts(dataset).values()) == 16
    for split in SPLITS:
        for row in dataset.rows(split):
            assert dataset.picture(row).size == (64, 64)


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar", "xztar"])
@pytest.mark.parametrize("deep", [".", "one/two words"])
def test_archives_and_folders_give_the_same(tmp_path: Path, kind: str, deep: str) -> None:
    root = write_classes(tmp_path / "in" / deep, {"cat": 8, "dog": 8}) and tmp_path / "in"
    packed = shutil.make_archive(str(tmp_path / "photos"), kind, root)
    from_folder, from_archive = prepare(root, tmp_path / "a"), prepare(packed, tmp_path / "b")
    assert from_archive.fingerprint == from_folder.fingerprint
    assert from_archive.root == tmp_path / "b" / "images"
    assert from_archive.name == "photos"
    assert from_folder.root == root
    assert sorted(path.name for path in from_folder.path.iterdir()) == ["dataset.json", "manifest.parquet"]


def test_the_source_is_never_touched(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "photos", {"cat": 5, "dog": 5})
    write(root / "cat" / "bad.jpg", b"")
    before = state(root)
    prepare(root, tmp_path / "out")
    assert state(root) == before


def test_split_trees_are_kept(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for first, split in ((0, "train"), (100, "valid"), (200, "test")):
        write_classes(root / "deep" / split, {"cat": 4, "dog": 3}, first)
    dataset = prepare(root, tmp_path / "out")
    assert counts(dataset) == {"train": 7, "validation": 7, "test": 7}
    for split, folder in (("train", "train"), ("validation", "valid"), ("test", "test")):
        assert all(f"/{folder}/" in dataset.name_of(row) for row in dataset.rows(split))


def test_built_in_digits(digits: Dataset) -> None:
    from sklearn.datasets import load_digits

    assert digits.classes == tuple("0123456789")
    assert sum(counts(digits).values()) == 1797
    rows = digits.rows("test")
    bunch = load_digits()
    assert digits.labels(rows).tolist() == bunch.target[rows].tolist()
    assert np.abs(np.asarray(digits.picture(rows[0])) / 255 - bunch.images[rows[0]] / 16).max() < 1 / 255


def test_it_is_made_once_while_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = write_classes(tmp_path / "in" / "photos", {"cat": 5, "dog": 5})
    first = prepare(root)
    assert first.path == tmp_path / "datasets" / "photos"
    age = (first.path / "dataset.json").stat().st_mtime_ns
    assert prepare("in/photos").fingerprint == first.fingerprint
    assert (first.path / "dataset.json").stat().st_mtime_ns == age
    write(root / "cat" / "new.jpg", encoded(picture(900)))
    assert sum(counts(prepare(root)).values()) == 11
    other = prepare(root, seed=1)
    assert other.path == first.path
    assert other.fingerprint != first.fingerprint
    (first.path / "manifest.parquet").write_bytes(b"damaged")
    assert sum(counts(prepare(root, seed=1)).values()) == 11
    (first.path / "dataset.json").write_bytes(b"damaged")
    assert sum(counts(prepare(root, seed=1)).values()) == 11


def test_two_sources_of_one_name_get_two_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number, place in enumerate("ab"):
        write_classes(tmp_path / place / "photos", {"cat": 3, "dog": 3}, 100 * number)
    first, second = prepare("a/photos"), prepare("b/photos")
    assert first.path != second.path
    assert first.fingerprint != second.fingerprint
    assert prepare("b/photos").path == second.path
    assert Dataset.open(first.path).fingerprint == first.fingerprint


def test_file_addresses_and_checksums(tmp_path: Path) -> None:
    archive = zipped(write_classes(tmp_path / "in", {"cat": 3, "dog": 3}), tmp_path / "my photos.zip")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert prepare(archive.as_uri(), tmp_path / "a", sha256=digest).name == "my photos"
    with pytest.raises(UserError, match="does not have the SHA-256"):
        prepare(archive, tmp_path / "b", sha256="0" * 64)
    with pytest.raises(UserError, match="for archives"):
        prepare(tmp_path / "in", tmp_path / "b", sha256=digest)
    assert not (tmp_path / "b").exists()


def bad_sources(root: Path) -> dict[str, tuple[Path | str, str]]:
    """What people give by mistake: the source, and what the error must say."""
    good = write_classes(root / "good", {"cat": 3, "dog": 3})
    (root / "empty").mkdir()
    write_classes(root / "one", {"cat": 3})
    write(write_classes(root / "no good", {"cat": 3}) / "dog" / "1.jpg", b"")
    (write_classes(root / "nothing", {"cat": 3}) / "dog").mkdir()
    for name in ("cat/1.jpg", "dog/1.jpg"):
        write(root / "corrupt" / name, encoded(picture(1))[:700])
    write(root / "page.zip", b"<html>404 not found</html>")
    with zipfile.ZipFile(root / "escape.zip", "w") as archive:
        archive.write(good / "cat" / "000.jpg", "cat/0.jpg")
        archive.writestr("../../escaped.jpg", b"x")
    with tarfile.open(root / "link.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo("cat/0.jpg")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    with zipfile.ZipFile(root / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/0.bmp", bytes(3 << 20))
    write(root / "idx" / "train-images-idx3-ubyte", b"\0\0\x08\3" + bytes(20))
    write(root / "idx" / "train-labels-idx1-ubyte", b"\0\0\x08\1" + bytes(4))
    for number in range(9):
        (root / "many" / f"class {number}").mkdir(parents=True)
        if number < 3:
            write(root / "many" / f"class {number}" / "1.jpg", encoded(picture(number)))
    for split, names in {"train": ["cat", "dog"], "test": ["cat", "dog", "eel"]}.items():
        write_classes(root / "test only" / split, dict.fromkeys(names, 3), first=len(names) * 10)
    return {
        "many": (root / "many", 'class "class 3" of .* has no good picture to train on: add some, or remove the class'),
        "testonly": (root / "test only", 'class "eel" of .* to train on, it is in test only'),
        "missing": (root / "gone", "no such file, folder or built-in dataset"),
        "unnamed": ("", "no data is named"),
        "misspelt": ("digit", 'did you mean "digits"'),
        "empty": (root / "empty", "is empty"),
        "one": (root / "one", 'only one class, "cat"'),
        "nogood": (root / "no good", 'class "dog" of .* has no good picture'),
        "nothing": (root / "nothing", 'class "dog" of .* has no good picture'),
        "corrupt": (root / "corrupt", "no good picture among its 2 files .*truncated or corrupt"),
        "page": (root / "page.zip", "damaged or no zip or tar archive"),
        "picture": (good / "cat" / "000.jpg", "damaged or no zip or tar archive"),
        "escape": (root / "escape.zip", "outside its folder"),
        "link": (root / "link.tar.gz", "link or device"),
        "bomb": (root / "bomb.zip", "archive bomb"),
        "idx": (root / "idx", "should hold 0 values"),
        "part": (root / "idx" / "train-images-idx3-ubyte", "give its folder"),
        "scheme": ("s3://bucket/photos.zip", "use http, https or file"),
        "host": ("file://server/photos.zip", "another machine"),
    }


CASES = [
    *("missing", "unnamed", "misspelt", "empty", "one", "nogood", "nothing", "corrupt", "page", "picture"),
    *("escape", "link", "bomb", "idx", "part", "scheme", "host", "many", "testonly"),
]


@pytest.mark.parametrize("case", CASES)
def test_bad_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.setattr(archives, "LIMITS", archives.Limits(free_bytes=1 << 20))
    monkeypatch.chdir(tmp_path)
    source, message = bad_sources(tmp_path / "in")[case]
    before = state(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        prepare(source)
    assert "\n" not in str(caught.value)
    assert state(tmp_path) == before
    assert not (tmp_path / "datasets").exists() or not os.listdir(tmp_path / "datasets")


def test_places_that_must_not_be_written(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "photos", {"cat": 3, "dog": 3})
    with pytest.raises(UserError, match="lies inside the pictures"):
        prepare(root, root / "datasets" / "x")
    write(tmp_path / "mine" / "thesis.txt", b"years of work")
    with pytest.raises(UserError, match="exists and is no Dataset"):
        prepare(root, tmp_path / "mine")
    prepare(root, tmp_path / "out")
    with pytest.raises(UserError, match="of another source"):
        prepare("digits", tmp_path / "out")
    assert (tmp_path / "mine" / "thesis.txt").read_bytes() == b"years of work"


@pytest.mark.parametrize("shares", [(-0.1, 0.1), (0.1, -0.1), (0.5, 0.5), (None, 1.0), (None, float("nan"))])
def test_shares_that_leave_nothing(tmp_path: Path, shares: tuple[float | None, float]) -> None:
    with pytest.raises(UserError, match="shares"):
        prepare("digits", tmp_path / "out", validation_frac=shares[0], test_frac=shares[1])


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_classes(tmp_path / "photos", {"cat": 3, "dog": 3})

    def full(path: Path, document: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(artifact, "write_json", full)
    with pytest.raises(UserError, match="is full"):
        prepare(root, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_classes(tmp_path / "photos", {"cat": 3, "dog": 3})

    def interrupted(path: Path, document: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(artifact, "write_json", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(root, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


# Contents: pictures by number, each also once more as a near copy, and a file that is none.
CONTENTS = {number: encoded(picture(number, 48)) for number in range(8)}
CONTENTS |= {10 + number: encoded(picture(number, 48), quality=60) for number in range(4)} | {99: b"no picture"}
trees = st.dictionaries(
    st.tuples(st.sampled_from(["", "train", "val", "test"]), st.sampled_from(["cat", "dog", "eel"]), file_names),
    st.sampled_from(sorted(CONTENTS)),
    min_size=3,
    max_size=16,
)


def grown(root: Path, tree: dict[tuple[str, str, str], int], split_tree: bool, backwards: bool = False) -> Path:
    """`tree` as files below `root`, written in one order or the other."""
    files = {
        Path((split or "train") if split_tree else "", label, name + ".jpg"): CONTENTS[content]
        for (split, label, name), content in tree.items()
    }
    for path in sorted(files, reverse=backwards):
        write(root / path, files[path])
    return root


@settings(max_examples=40)
@given(trees, st.booleans(), st.integers(0, 5))
def test_what_holds_for_every_tree(tree: dict[tuple[str, str, str], int], split_tree: bool, seed: int) -> None:
    """Made twice, and from folders filled in another order, it is the same; no picture lies on two sides."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        try:
            first = prepare(grown(here / "a", tree, split_tree), here / "1", seed=seed)
        except UserError as error:
            event(f"refused: {str(error)[-20:]}")  # small trees may lack what a Dataset needs
            assert not (here / "1").exists()
            return
        event("made")
        again = prepare(grown(here / "a", tree, split_tree), here / "2", seed=seed)
        other = prepare(grown(here / "b", tree, split_tree, backwards=True), here / "3", seed=seed)
        manifests = {(here / number / "manifest.parquet").read_bytes() for number in "123"}
        assert len(manifests) == 1
        assert first.fingerprint == again.fingerprint == other.fingerprint
        _check_leaks(first, split_tree)


def _check_leaks(dataset: Dataset, split_tree: bool) -> None:
    table = dataset.table
    used = np.flatnonzero(table.split != "")
    assert (table.verdict[used] != "quarantined").all()
    assert len({table.sha256[row].tobytes() for row in used}) == len(used), "one picture twice"
    for row in used:
        open_picture(dataset.name_of(row))
    if not split_tree:
        for group in np.unique(table.group[used]):
            assert len(set(table.split[used][table.group[used] == group])) == 1, "near copies on two sides"


def test_cleaning_what_is_clean_changes_nothing(tmp_path: Path) -> None:
    """The good pictures of a messy folder, on their own, give the same split without a word."""
    root = write_classes(tmp_path / "messy", {"cat": 12, "dog": 12})
    write(root / "cat" / "zz copy.jpg", (root / "cat" / "000.jpg").read_bytes())
    write(root / "dog" / "bad.jpg", b"")
    messy = prepare(root, tmp_path / "1")
    for row, verdict in enumerate(messy.table.verdict):
        if verdict != "quarantined":
            write(tmp_path / "clean" / messy.table.path[row], Path(messy.name_of(row)).read_bytes())
    clean = prepare(tmp_path / "clean", tmp_path / "2")
    assert clean.fingerprint == messy.fingerprint
    assert clean.summary()["verdicts"] == {"fine": 24, "noted": 0, "quarantined": 0}


def test_the_clothing_photos(shared: Callable[[str], Path], tmp_path: Path) -> None:
    dataset = prepare(shared("data/clothing/clothing_subset.zip"), tmp_path / "out")
    classes = "dress hat longsleeve outwear pants shirt shoes shorts skirt t-shirt"
    assert dataset.classes == tuple(classes.split())
    assert dataset.summary()["verdicts"] == {"fine": 746, "noted": 0, "quarantined": 0}
    assert counts(dataset) == {"train": 510, "validation": 90, "test": 146}
    for split, folder in (("train", "train"), ("validation", "train"), ("test", "validation")):
        assert all(dataset.table.path[row].startswith(folder) for row in dataset.rows(split))


def test_the_cifar_subset_from_its_zip(shared: Callable[[str], Path], tmp_path: Path) -> None:
    source = shared("data/cifar10/cifar10_subset.zip")
    dataset = prepare(source, tmp_path / "out")
    assert dataset.classes[:2] == ("airplane", "automobile")
    assert len(dataset.rows("test")) == 500
    assert abs(len(dataset.rows("validation")) - 1000) <= 5
    assert sorted(path.name for path in dataset.path.iterdir()) == ["dataset.json", "images.npy", "manifest.parquet"]
    records = np.frombuffer(zipfile.ZipFile(source).read("test_batch_first500.bin"), np.uint8).reshape(500, 3073)
    rows = dataset.rows("test")
    assert dataset.labels(rows).tolist() == records[:, 0].tolist()
    for place in (0, 250, 499):
        expected = records[place, 1:].reshape(3, 32, 32).transpose(1, 2, 0)
        assert np.array_equal(np.asarray(dataset.picture(rows[place])), expected)


def test_names_too_long_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("x" * 300, "x/" * 3000):
        with pytest.raises(UserError, match="no such file"):
            prepare(name)
    photos = write_classes(tmp_path / "photos", {"cat": 3, "dog": 3})
    with pytest.raises(UserError, match="too long for the disk"):
        prepare(zipped(photos, tmp_path / ("x" * 248 + ".zip")))
    with zipfile.ZipFile(tmp_path / "deep.zip", "w") as archive:
        archive.writestr("/".join(["n" * 240] * 20), b"x")
    with pytest.raises(UserError, match="too long for the disk"):
        prepare(tmp_path / "deep.zip")


def test_a_link_in_a_circle_is_left_out(tmp_path: Path) -> None:
    photos = write_classes(tmp_path / "photos", {"cat": 5, "dog": 5})
    (photos / "cat" / "circle").symlink_to("circle")
    (left_out,) = prepare(photos, tmp_path / "out").summary()["quarantined"]
    assert left_out == {"picture": "cat/circle", "reason": "no such file"}
