"""`sightline export` and `--weights` from the command line, as a user would."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sightline.cli import run
from sightline.models import create
from tests.pictures import crops, write_folder

pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory with weights of three classes in it, where verbs are called from."""
    monkeypatch.chdir(tmp_path)
    torch.save(create("googlenet_small:aux=no", num_classes=3).state_dict(), "mine.pth")
    Path("mine.json").write_text('{"arch": "googlenet_small", "preprocess": {"resize": 36, "crop": 32}}')
    Path("names.txt").write_text("ant\nbee\n<b>cat</b>\n")
    crops("china.jpg", 1)[0].save("photo.jpg")
    return tmp_path


def test_export_then_predict(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "--weights", "mine.pth", "--classes", "names.txt", "--out", "b", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["path"]) == ("export", "b")
    assert document["bundle"]["arch"] == "googlenet_small"
    assert document["bundle"]["weights"]["file"] == "mine.pth"
    assert document["bundle"]["preprocess"]["crop_frac"] == pytest.approx(32 / 36)
    assert run(["predict", "b", "photo.jpg", "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)["predictions"]
    assert {entry["class"] for entry in answer["classes"]} == {"ant", "bee", "<b>cat</b>"}


def test_without_json_it_tells_what_became_of_the_keys(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "--weights", "mine.pth", "--out", "b"]) == 0
    said = capsys.readouterr().out
    assert "weights mine.pth: " in said
    assert "not in the file and begun anew: aux1, aux2" in said


def test_train_begins_with_weights_and_says_so(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(place / "photos", 8)
    options = ["--weights", "mine.pth", "--tune", "all", "--epochs", "1", "--out", "it"]
    assert run(["train", "photos", *options]) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert "weights mine.pth: " in said
    assert "fc replaced (3 classes there, 2 here)" in said
    assert json.loads((place / "it" / "run.json").read_text())["arguments"]["size"] == 32


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "--out", "b"], "--weights"),
        (["export", "--weights", "mine.pth"], "--out"),
        (["export", "--weights", "imagenet", "--out", "b"], "--arch"),
        (["export", "--weights", "imagenet", "--arch", "plain18", "--out", "b"], "plain18 has no public"),
        (["export", "--weights", "imagenet", "--arch", "resnt50", "--out", "b"], 'did you mean "resnet50"'),
        (["export", "--weights", "absent.pth", "--out", "b"], "no weights file at absent.pth"),
        (["export", "--weights", "photo.jpg", "--arch", "resnet20", "--out", "b"], "no readable weights file"),
        (["export", "--weights", "mine.pth", "--arch", "resnet20", "--out", "b"], "conv1.weight"),
        (["export", "--weights", "mine.pth", "--style", "paper", "--out", "b"], "--style torchvision"),
        (["export", "--weights", "mine.pth", "--classes", "mine.json", "--out", "b"], "class names"),
        (["export", "--weights", "mine.pth", "--classes", "absent.txt", "--out", "b"], "class names"),
        (["export", "--weights", "mine.pth", "--out", "photo.jpg"], "exists already"),
        (["train", "digits", "--weights", "absent.pth"], "no weights file at absent.pth"),
        (["train", "digits", "--weights", "imagenet"], "--arch"),
        (["train", "--weights", "mine.pth"], "train needs DATA"),
        (["train", "--resume", "it", "--weights", "mine.pth"], "no run it"),
    ],
)
def test_what_people_do_wrong_is_one_line_that_says_what_to_do(
    arguments: list[str], words: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name for path in place.iterdir()}
    code = run(arguments)
    output = capsys.readouterr()
    assert code == 2, output.err
    assert output.out == ""
    (line,) = (line for line in output.err.splitlines() if line.startswith("error: "))
    assert words in line
    assert {path.name for path in place.iterdir()} == before


def test_a_damaged_word_beside_the_weights(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.json").write_text("{")
    assert run(["export", "--weights", "mine.pth", "--out", "b"]) == 2
    assert "damaged description of weights: mine.json" in capsys.readouterr().err.replace(f"{place}/", "")


def test_offline_public_weights_say_which_file_to_put_where(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(place / "cache"))
    monkeypatch.setattr("sightline.models.pretrained.ADDRESS", "http://sightline.invalid/")
    assert run(["export", "--weights", "imagenet", "--arch", "resnet18", "--out", "b"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"put resnet18-f37072fd.pth from http://sightline.invalid/ into {place / 'cache' / 'weights'}" in line


def test_foreign_networks_weights_are_refused(
    place: Path, shared: Callable[[str], Path], capsys: pytest.CaptureFixture[Any]
) -> None:
    foreign = str(shared("data/mtcnn/onet.pt"))
    assert run(["export", "--weights", foreign, "--arch", "resnet18", "--out", "b"]) == 2
    assert "conv1.weight is (32, 3, 3, 3) there and (64, 3, 7, 7) here" in capsys.readouterr().err


LEAKY = "resnet20:activation=leaky_relu"


def test_another_style_or_network_than_the_weights_were_made_for_is_told(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, arch in (("v1", "mobilenet_v1:width=0.25"), ("twenty", "resnet20")):
        torch.save(create(arch, num_classes=3).state_dict(), f"{name}.pth")
        said = {"arch": arch, "style": "torchvision", "preprocess": {"resize": 32}}
        Path(f"{name}.json").write_text(json.dumps(said))
    assert run(["export", "--weights", "twenty.pth", "--out", "as-made"]) == 0
    assert "made for" not in capsys.readouterr().out
    assert run(["export", "--weights", "v1.pth", "--style", "paper", "--out", "b"]) == 0
    assert "made for mobilenet_v1:width=0.25 in torchvision style: expect" in capsys.readouterr().out
    assert run(["export", "--weights", "twenty.pth", "--arch", LEAKY, "--out", "c"]) == 0
    assert "made for resnet20 in torchvision style: expect" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "absent-photos", "--arch", "vgg11"], "absent-photos"),
        (["export", "--arch", "vgg11", "--out", "photo.jpg"], "exists already"),
        (["train", "digits", "--arch", "vgg11", "--out", "photo.jpg"], "exists already"),
        (["export", "--arch", "mobilenet_v2:width=0.5", "--out", "b"], "do not fit mobilenet_v2:width=0.5"),
        (["export", "--arch", "alexnet", "--style", "paper", "--out", "b"], "do not fit alexnet as asked for"),
        (["train", "digits", "--arch", "resnet18", "--stem", "small"], "do not fit resnet18 as asked for"),
    ],
)
def test_what_can_be_told_before_a_download_is(
    arguments: list[str], words: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sightline.models.pretrained.ADDRESS", "http://sightline.invalid/")
    monkeypatch.setenv("SIGHTLINE_CACHE", str(place / "cache"))
    assert run([*arguments, "--weights", "imagenet"]) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
    assert not (place / "cache").exists()
