"""`--augment` and `data --show-augment` as they are used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightline.cli import run
from sightline.data.augment import DISTORTIONS, PRESETS, in_full
from sightline.run import Run
from tests.pictures import write_folder
from tests.report.reading import read

LIST = "- rotation: {degrees: 20}\n- mixup: {p: 0.5}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory with `photos` and `mine.yaml`."""
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "photos", 8)
    Path("mine.yaml").write_text(LIST)
    return tmp_path


def test_the_page_shows_every_distortion_and_list_and_touches_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in Path("photos").rglob("*.jpg")}
    assert run(["data", "photos", "--show-augment", "--augment", "mine.yaml", "--picture", "flower/", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["augment"] == str(here / "datasets" / "photos" / "augment.html")
    parsed = read(Path(document["augment"]))
    for name in [*DISTORTIONS, *PRESETS, "your list", "flower/", "- mixup: {p: 0.5, alpha: 0.2}"]:
        assert name == "none" or name in parsed.text, name
    assert "flower: " in parsed.text  # a label of a mixed picture
    assert len({picture["src"] for picture in parsed.all("img")}) > 100  # and most are not alike
    assert {path: path.read_bytes() for path in Path("photos").rglob("*.jpg")} == before


def test_the_page_of_grey_digits_says_what_has_no_use(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "digits", "--show-augment"]) == 0
    assert "augment.html" in capsys.readouterr().out
    text = read(Path("datasets/digits/augment.html")).text
    assert text.count("These pictures are grey") == 3
    assert "seen at 16 pixels" in text
    shown = text[text.index("standard") : text.index("strong")]
    assert "padded_crop" in shown
    assert "mirror" not in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--augment", "strong"], "give that too"),
        (["--picture", "a"], "give that too"),
        (["--show-augment", "--picture", "dog"], 'no training picture has "dog" in its name'),
        (["--show-augment", "--augment", "stron"], 'did you mean "strong"?'),
    ],
)
def test_the_page_refuses_in_one_line(
    here: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "photos", *arguments]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not list(here.rglob("augment.html"))


def test_a_list_is_trained_with_and_kept_in_full(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--arch", "resnet20", "--size", "16", "--epochs", "1", "--json"]
    assert run(["train", "photos", *common, "--augment", "mine.yaml", "--out", "runs/mine"]) == 0
    kept = Run.open("mine").document["arguments"]["recipe"]
    assert kept["augment"] == [{"rotation": {"p": 1.0, "degrees": 20.0}}, {"mixup": {"p": 0.5, "alpha": 0.2}}]
    compare = ["compare", "photos", *common, "--out", "runs/both"]
    assert run([*compare, "--augment", "strong"]) == 0
    strong = Run.open("both/resnet20-s0").document["arguments"]["recipe"]["augment"]
    assert [name for entry in strong for name in entry] == [entry.name for entry in in_full("strong")]
    assert run([*compare, "--augment", "mine.yaml"]) == 2
    assert "started otherwise (augment)" in capsys.readouterr().err
    assert run([*compare, "--augment", "strong"]) == 0  # kept


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("- mirror", ["digits"], "entry 1 (mirror): single letters and digits read otherwise mirrored"),
        ("- blur\n- hue", ["digits"], "entry 2 (hue): these pictures are grey"),
        (
            "- rotation: {degree: 3}",
            ["photos"],
            'text.yaml, entry 1 (rotation): unknown key "degree", did you mean "degrees"?',
        ),
        ("- mirror", ["photos", "--no-mirror"], "entry 1 (mirror): --no-mirror forbids it"),
    ],
)
def test_a_list_that_does_not_suit_is_told_before_anything_is_trained(
    here: Path, text: str, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("text.yaml").write_text(text)
    assert run(["train", *arguments, "--arch", "resnet20", "--augment", "text.yaml"]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not Path("runs").exists()
