"""`sightline scratch` from the command line, as a user would."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from sightline.cli import run
from sightline.cli.scratch import app
from sightline.scratch import proof
from tests.pictures import write_folder

CHAPTER = Path(__file__).parents[2] / "docs" / "from-scratch.md"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory where verbs are called from."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_mnist(folder: Path, count: int = 60, magic: int = 0x803, length: int | None = None) -> Path:
    """Digits in MNIST's form: bars that lie or stand."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for name, many in (("train", count), ("t10k", count // 3)):
        labels = (np.arange(many) % 2).astype(np.uint8)
        pictures = random.integers(0, 60, (many, 28, 28), dtype=np.uint8)
        for picture, label in zip(pictures, labels, strict=True):
            at = random.integers(6, 22)
            picture[(slice(at, at + 3), slice(4, 24)) if label else (slice(4, 24), slice(at, at + 3))] = 250
        head = np.array([magic, many, 28, 28], ">i4").tobytes()
        (folder / f"{name}-images-idx3-ubyte").write_bytes((head + pictures.tobytes())[:length])
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(np.array([0x801, many], ">i4").tobytes() + labels.tobytes())
    return folder


def test_from_idx_files_to_a_page(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_mnist(place / "bars")
    assert run(["scratch", "train", "bars", "--network", "lenet", "--epochs", "4", "--out", "it", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "training"
    assert document["run"]["arguments"]["size"] == 28
    assert document["evaluation"]["n"] == 20
    assert document["evaluation"]["top1"] > 0.9
    assert run(["scratch", "verify", "it"]) == 0
    assert "the same within 1e-04" in capsys.readouterr().out
    assert run(["evaluate", "it"]) == 0
    assert run(["compare", "bars", "--run", "it", "--out", "compared"]) == 0
    assert (place / "compared" / "report.html").exists()
    capsys.readouterr()
    assert run(["scratch", "train", "--resume", "it"]) == 2
    assert "is finished: nothing to resume" in capsys.readouterr().err


def test_figures_are_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(place / "photos", 10)
    assert run(["scratch", "train", "photos", "--epochs", "1", "--optimizer", "adam"]) == 0
    said = capsys.readouterr().out
    assert "lenet in NumPy on photos" in said
    assert re.search(r"learning rate 0\.001", said)
    assert re.search(r"run\s+runs/lenet-photos-s0", said)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"magic": 0x805}, "train-images-idx3-ubyte"), ({"length": 500}, "train-images-idx3-ubyte")],
)
def test_broken_mnist_files_are_named(
    change: dict[str, int], words: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mnist(place / "bars", **change)  # type: ignore[arg-type]
    assert run(["scratch", "train", "bars"]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("error: ")
    assert words in said
    assert not (place / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train"], "scratch train needs DATA"),
        (["train", "photos", "--network", "lenett"], 'did you mean "lenet"'),
        (["train", "photos", "--network", "efficientnet_b0"], 'no network "efficientnet_b0" in NumPy'),
        (["train", "photos", "--size", "9"], "does not fit a picture"),
        (["train", "nothing"], "nothing"),
        (["train", "--resume", "nothing"], "no run nothing"),
        (["train", "--resume", "it", "--epochs", "3"], "leave out epochs"),
        (["verify"], "scratch verify needs a RUN, or --weights"),
        (["verify", "photos"], "no run in photos"),
        (["verify", "--weights", "none.pth", "--network", "resnet20"], "none.pth"),
        (["check", "lenet", "resnt20"], 'did you mean "resnet20"'),
    ],
)
def test_what_people_do_wrong(
    arguments: list[str], words: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(place / "photos", 4)
    assert run(["scratch", *arguments]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert words in lines[0]


def test_gradients_are_checked(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(["scratch", "check", "lenet", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["passed"]
    assert {one["name"] for one in document["checked"]} == {*proof.cases(), "lenet"}
    assert max(one["error"] for one in document["checked"]) < document["limit"]
    monkeypatch.setattr("sightline.scratch.layers.pooling.F.global_pool_gradient", lambda dy, x: 0 * x)
    assert run(["scratch", "check", "lenet"]) == 2
    assert "the gradient of global pooling is not its slope" in capsys.readouterr().err


def test_the_chapter_names_verbs_that_are_there() -> None:
    verbs = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    named = set(re.findall(r"^sightline scratch (\w+)", CHAPTER.read_text(), re.MULTILINE))
    assert named == verbs == {"train", "verify", "check", "explore"}
