"""What people do wrong: one line that says what, where and what to do; exit code 2; nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sightline.cli import run
from tests.pictures import crops, jpeg, write_folder, write_messy_zip

Refused = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Call a verb in an empty directory; its one error line. Fails unless it exits with 2 and leaves nothing."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> str:
        before = listing(tmp_path)
        code = run([str(argument) for argument in arguments])
        output = capsys.readouterr()
        errors = [line for line in output.err.splitlines() if line.startswith("error: ")]
        assert code == 2, output.err
        assert len(errors) == 1
        assert output.err.splitlines()[-1] == errors[0]
        assert "Traceback" not in output.err
        assert output.out == ""
        assert listing(tmp_path) == before
        return errors[0]

    return call


def listing(root: Path) -> list[tuple[str, int]]:
    """Every file and folder below `root` with its size; the folders verbs keep their results in may appear empty."""
    kept = [path for path in root.rglob("*") if path.name not in ("datasets", "runs", "indexes") or any(path.iterdir())]
    return sorted((str(path), path.stat().st_size if path.is_file() else -1) for path in kept)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `photos`, and in runs/it a network trained on them for a moment."""
    place = tmp_path_factory.mktemp("trained")
    write_folder(place / "photos", 8)
    arguments = ["train", str(place / "photos"), "--arch", "resnet20", "--epochs", "1", "--size", "16"]
    here = Path.cwd()
    os.chdir(place)
    try:
        assert run([*arguments, "--out", "runs/it"]) == 0
    finally:
        os.chdir(here)
    return place


def one_class(root: Path) -> Path:
    write_folder(root, 6)
    shutil.rmtree(root / "flower")
    return root


def class_without_pictures(root: Path) -> Path:
    write_folder(root, 6)
    for file in (root / "flower").iterdir():
        file.write_bytes(b"")
    return root


def all_corrupt(root: Path) -> Path:
    write_folder(root, 6)
    for file in root.rglob("*.jpg"):
        file.write_bytes(file.read_bytes()[:200])
    return root


def empty_folder(root: Path) -> Path:
    root.mkdir()
    return root


def not_a_zip(root: Path) -> Path:
    path = root.with_suffix(".zip")
    path.write_bytes(jpeg(crops("china.jpg", 1)[0]))
    return path


def escaping_zip(root: Path) -> Path:
    path = write_messy_zip(root.with_suffix(".zip"), 4)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../evil.jpg", b"outside")
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: root, "no such file"),
        (empty_folder, "is empty"),
        (one_class, "class"),
        (class_without_pictures, "flower"),
        (all_corrupt, ""),
        (not_a_zip, "photos.zip"),
        (escaping_zip, "evil.jpg"),
    ],
)
@pytest.mark.parametrize("verb", [("data",), ("train", "--arch", "resnet20", "--epochs", "1")])
def test_bad_sources(
    refused: Refused, tmp_path: Path, verb: tuple[str, ...], make: Callable[[Path], Path], words: str
) -> None:
    source = make(tmp_path / "photos")
    line = refused(verb[0], str(source), *verb[1:])
    assert words in line
    assert "photos" in line
    assert not (tmp_path.parent / "evil.jpg").exists()


def test_a_checksum_that_differs(refused: Refused, tmp_path: Path) -> None:
    path = write_messy_zip(tmp_path / "pets.zip", 4)
    assert "SHA-256" in refused("data", str(path), "--sha256", "0" * 64)


def test_unknown_networks_are_named_with_the_nearest(refused: Refused, tmp_path: Path) -> None:
    write_folder(tmp_path / "photos", 6)
    assert 'did you mean "googlenet"?' in refused("train", "photos", "--arch", "googlnet")


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "photos", "--arch", "resnet20", "--epochs", "0"),
        ("train", "photos", "--arch", "resnet20", "--epochs", "1", "--budget", "5m"),
        ("train", "photos", "--arch", "resnet20", "--budget", "soon"),
        ("train", "photos", "--arch", "resnet20", "--lr", "-1"),
        ("train", "photos", "--arch", "resnet20", "--size", "0"),
        ("train", "photos", "--arch", "resnet20", "--device", "tpu"),
        ("train", "photos", "--arch", "resnet20", "--augment", "missing.yaml"),
        ("compare", "photos", "--arch", "resnet20", "--augment", "photos"),
        ("data", "photos", "--show-augment", "--augment", "missing.yaml"),
        ("train", "photos"),
        ("train", "photos", "--arch", "resnet20", "--seeds", "2"),
        ("train", "photos", "--arch", "resnet20", "--learning-curve", "--seeds", "0"),
        ("train", "photos", "--arch", "resnet20", "--resume", "runs/it", "--learning-curve"),
        ("compare", "photos"),
        ("compare", "photos", "--arch", "resnet20", "--seeds", "0"),
        ("predict", "nowhere", "photos"),
        ("evaluate", "nowhere"),
        ("index", "photos", "--run", "nowhere"),
        ("search", "nowhere", "photos"),
        ("train", "--resume", "nowhere"),
        ("trian", "photos"),
        ("train", "photos", "--ach", "resnet20"),
    ],
)
def test_bad_arguments(refused: Refused, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    write_folder(tmp_path / "photos", 3)
    refused(*arguments)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("name", ["model.onnx", "model.safetensors", "golden.npz", "bundle.json"])
def test_a_flipped_byte_in_a_run(refused: Refused, trained: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(trained / "runs" / "it", tmp_path / "it")
    flip(tmp_path / "it" / "bundle" / name)
    line = refused("predict", str(tmp_path / "it"), str(trained / "photos"))
    assert name in line


def test_a_damaged_run_document(refused: Refused, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "runs" / "it", tmp_path / "it")
    (tmp_path / "it" / "run.json").write_text("{")
    assert "run.json" in refused("evaluate", str(tmp_path / "it"))


def test_a_run_whose_data_is_gone(refused: Refused, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "runs" / "it", tmp_path / "it")
    text = (tmp_path / "it" / "run.json").read_text()
    (tmp_path / "it" / "run.json").write_text(text.replace(str(trained / "datasets"), str(trained / "gone")))
    shutil.rmtree(tmp_path / "it" / "checkpoints")
    assert "gone" in refused("evaluate", str(tmp_path / "it"))


def test_a_picture_of_the_wrong_kind(refused: Refused, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "notes\n.txt").write_text("no picture")
    line = refused_with_table(refused, trained, tmp_path / "notes\n.txt")
    assert "notes\\n.txt" in line


def refused_with_table(refused: Refused, trained: Path, picture: Path) -> str:
    """`predict` prints its table before it complains, so it is asked through a process of its own."""
    arguments = [sys.executable, "-m", "sightline.cli", "predict", str(trained / "runs" / "it"), str(picture)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "not an image" in done.stdout
    return done.stderr.splitlines()[-1]


def test_a_damaged_index(refused: Refused, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "index")
    assert run(["index", str(trained / "photos"), "--run", str(trained / "runs" / "it"), "--out", out]) == 0
    capsys.readouterr()
    vectors = tmp_path / "index" / "v1" / "vectors.npy"
    vectors.write_bytes(vectors.read_bytes()[:-100])
    assert "vectors.npy" in refused("search", out, str(trained / "photos" / "china" / "00.jpg"))


@pytest.mark.slow
def test_odd_names_go_all_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Spaces, unicode, newlines, undecodable bytes, and classes that are HTML."""
    monkeypatch.chdir(tmp_path)
    classes = ("<script>alert(1)</script>", "naïve 写真\n")
    for name, photo in zip(classes, ("china.jpg", "flower.jpg"), strict=True):
        folder = tmp_path / "my photos" / name.replace("/", "∕")
        folder.mkdir(parents=True)
        for number, picture in enumerate(crops(photo, 12)):
            (folder / f"a b\n{number}.jpg").write_bytes(jpeg(picture))
        (folder / os.fsdecode(b"latin1 \xe9.jpg")).write_bytes(jpeg(crops(photo, 13)[-1]))
    names = ["--epochs", "1", "--size", "16", "--out", "out\nput"]
    assert run(["compare", "my photos", "--arch", "resnet20", *names]) == 0, capsys.readouterr().err
    page = (tmp_path / "out\nput" / "report.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    assert run(["predict", "out\nput/resnet20-s0", "my photos", "--json"]) == 0
    assert run(["index", "my photos", "--run", "out\nput/resnet20-s0", "--out", "index"]) == 0
    capsys.readouterr()
    first = next((tmp_path / "my photos").rglob("latin1*"))
    assert run(["search", "index", str(first)]) == 0
    assert "latin1 \\udce9.jpg" in capsys.readouterr().out


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB; skips where mounting one is not allowed."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.skipif(shutil.which("mount") is None, reason="no mount command")
def test_a_full_disk(
    small_disk: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    photos, it = str(trained / "photos"), str(trained / "runs" / "it")
    archive = write_messy_zip(tmp_path / "pets.zip", 59)
    (small_disk / "filler").write_bytes(bytes(250_000))
    for arguments in (
        ["data", str(archive), "--out", str(small_disk / "dataset")],
        ["train", photos, "--arch", "resnet20", "--epochs", "1", "--size", "16", "--out", str(small_disk / "run")],
        ["index", photos, "--run", it, "--out", str(small_disk / "index")],
    ):
        code = run(arguments)
        errors = capsys.readouterr().err.splitlines()
        assert code == 2, errors
        assert errors[-1].startswith("error: ")
        assert "full" in errors[-1]
        left = {path.name for path in small_disk.iterdir()} - {"filler"}
        assert left <= {"run", "index"}, left  # what was done is kept, to go on when there is room
    assert not list(small_disk.rglob("bundle"))


def test_nothing_is_begun_on_a_device_that_is_not_there(
    refused: Refused, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    shutil.copytree(trained / "datasets" / "photos", tmp_path / "data")
    begin = ("train", "data", "--arch", "resnet20", "--epochs", "1", "--size", "16", "--out", "it")
    assert "Apple" in refused(*begin, "--device", "mps")
    assert "CUDA" in refused(*begin, "--device", "cuda")
    assert "--precision bf16" in refused(*begin, "--device", "cpu", "--precision", "16")


def test_files_where_folders_are_needed_and_the_other_way_round(
    refused: Refused, trained: Path, tmp_path: Path
) -> None:
    it, picture = str(trained / "runs" / "it"), str(next((trained / "photos").rglob("*.jpg")))
    shutil.copytree(trained / "datasets" / "photos", tmp_path / "data")
    (tmp_path / "file").write_text("x")
    assert "directory" in refused("predict", it, picture, "--csv", "data")
    assert "a file stands" in refused("predict", it, picture, "--csv", "file/answers.csv")
    assert "a file stands" in refused("index", "data", "--run", it, "--out", "file/index")
    assert "empty" in refused("predict", it, "")
    assert "--cache-budget" in refused("train", "data", "--arch", "resnet20", "--cache-budget", "inf")


@pytest.mark.slow
def test_a_comparison_that_cannot_end_does_not_begin(
    refused: Refused, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ("--arch", "resnet20", "--epochs", "1", "--size", "16")
    assert run(["data", str(trained / "photos"), "--test", "0", "--out", str(tmp_path / "untested")]) == 0
    write_folder(tmp_path / "others", 9)
    assert run(["data", str(tmp_path / "others"), "--seed", "3", "--out", str(tmp_path / "data")]) == 0
    capsys.readouterr()
    assert "no test pictures" in refused("compare", "untested", *quick)
    assert "compare runs of the same data" in refused("compare", "data", *quick, "--run", str(trained / "runs" / "it"))
    assert run(["compare", "data", *quick]) == 0
    capsys.readouterr()
    assert "otherwise (epochs)" in refused("compare", "data", "--arch", "resnet20", "--epochs", "2", "--size", "16")


def test_an_interrupted_training_says_how_to_go_on(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sightline.core.stopping import Interrupted
    from sightline.training.loop import Training

    def stopped(training: Training) -> None:
        raise Interrupted

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Training, "run", stopped)
    data = str(trained / "datasets" / "photos")
    assert run(["train", data, "--arch", "resnet20", "--size", "16", "--out", "my run"]) == 130
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines()[-1] == "interrupted: `sightline train --resume 'my run'` continues"
    assert run(["compare", data, "--arch", "resnet20", "--size", "16"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted: the same command goes on where this one stood"


def test_a_bad_file_among_searched_pictures_is_skipped(
    refused: Refused, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = str(tmp_path / "index")
    assert run(["index", str(trained / "datasets/photos"), "--run", str(trained / "runs/it"), "--out", index]) == 0
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "a.jpg").write_text("no picture")
    (mixed / "b.jpg").write_text("no picture")
    capsys.readouterr()
    assert "none of the 2 pictures" in refused("search", index, str(mixed))
    shutil.copyfile(next((trained / "photos").rglob("*.jpg")), mixed / "good.jpg")
    assert run(["search", index, str(mixed), "-k", "2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [Path(query["picture"]).name for query in document["queries"]] == ["good.jpg"]
    assert [Path(one["picture"]).name for one in document["skipped"]] == ["a.jpg", "b.jpg"]


def test_a_run_goes_on_with_its_own_options(refused: Refused, trained: Path, tmp_path: Path) -> None:
    """Every difference is named, what is the same may be given, and nothing of the run changes."""
    shutil.copytree(trained / "runs" / "it", tmp_path / "it")
    text = (tmp_path / "it" / "run.json").read_text()
    (tmp_path / "it" / "run.json").write_text(text.replace('"status": "done"', '"status": "interrupted"'))
    recipe = json.loads(text)["arguments"]["recipe"]
    line = refused("train", "--resume", "it", "--lr", "0.5", "--batch", "64", "--no-mirror", "--device", "auto")
    assert (
        f"--lr 0.5 (it has {recipe['lr']}), --batch 64 (it has {recipe['batch_size']}), --mirror False (it has True)"
        in line
    )
    assert "--device" not in line
    for arguments, words in {
        ("--arch", "resnet18"): "--arch resnet18 (it has resnet20)",
        ("--size", "32"): "--size 32 (it has 16)",
        ("--budget", "10m"): "--budget 10m (it has None)",
        ("--recipe", "paper"): "--recipe paper (it has epochs 1, batch ",
        ("--seed", "1"): "--seed 1 (it has 0)",
        ("--cache-budget", "1"): "--cache-budget 1.0 (it has 2.0)",
        ("--balance", "weights"): "--balance weights (it has none)",
        ("--augment", "none"): "--augment none (it has mirror, ",
        ("--weights", "other.pth"): "--weights other.pth (it has None)",
        ("--out", "elsewhere"): "--out elsewhere (it has ",
        ("photos",): "DATA photos (it has ",
        ("--lr", "-"): "--lr - (it has ",
    }.items():
        assert words in refused("train", *arguments, "--resume", "it")
    given = (
        f"--recipe usual --lr {recipe['lr']} --arch resnet20 --epochs 1 --size 16 --cache-budget 2 --out it --workers 1"
    )
    same = [str(trained / "photos"), *given.split()]
    assert run(["train", "--resume", "it", *same, "--json"]) == 0
