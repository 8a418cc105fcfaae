from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sightline.cli import run
from sightline.cli.anatomy import app
from sightline.core.errors import closest
from sightline.models import ARCHITECTURES

Say = Callable[..., Any]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Call `sightline anatomy ...` with --json; its one document."""

    def call(*arguments: str) -> Any:
        assert run(["anatomy", *arguments, "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Call `sightline anatomy ...`; what it prints, runs of spaces as one and lines of tables without their borders."""

    def call(*arguments: str) -> str:
        assert run(["anatomy", *arguments]) == 0, capsys.readouterr().err
        return " ".join(capsys.readouterr().out.replace("│", " ").split())

    return call


def test_one_network(say: Say, shown: Callable[..., str]) -> None:
    document = say("resnet50")
    assert (document["kind"], document["name"], document["input"]) == ("anatomy", "resnet50", [3, 224, 224])
    assert document["total"]["macs"] == 4_089_184_256
    text = shown("resnet50")
    assert "layer3 18 14x14x1024 7,098,368 1.5 G 35.8 % 7.5 M" in text
    assert "total 50 layers, 26 M parameters, 4.1 G MACs (8.2 G FLOPs), 102 MB in float32" in text
    assert "layer1.0.relu_3" not in text


def test_options_reach_the_network(say: Say) -> None:
    document = say("mobilenet_v2:width=0.5", "--input", "97", "--style", "paper", "--classes", "3", "--stem", "small")
    assert document["name"] == "mobilenet_v2:width=0.5"
    assert (document["input"], document["classes"]) == ([3, 97, 97], 3)
    assert (document["style"], document["stem"]) == ("paper", "small")


def test_every_layer_and_auxiliary_heads(shown: Callable[..., str]) -> None:
    text = shown("googlenet", "--layers")
    assert "inception3a.branch3.1.conv Conv2d 28x28x32 3x3 4,608 3.6 M 25 k" in text
    assert "maxpool1 MaxPool2d 56x56x64 3x3 /2 0 0 201 k 11" in text
    assert "of them 6.4 M parameters are in auxiliary heads" in text
    assert "features.1.conv.0.0 Conv2d 112x112x32 3x3 g32 288" in shown("mobilenet_v2", "--layers")


def test_side_by_side(say: Say, shown: Callable[..., str]) -> None:
    document = say("resnet50", "--against", "vgg16", "--against", "plain20")
    assert document["kind"] == "anatomies"
    assert [network["name"] for network in document["networks"]] == ["resnet50", "vgg16", "plain20"]
    assert [network["input"][1] for network in document["networks"]] == [224, 224, 32]
    text = shown("resnet50", "--against", "vgg16")
    assert "layer1 56x56x256 216 k 668 M features.5-9 56x56x128 221 k 2.8 G" in text
    assert "parameters 25,557,032 138,357,544" in text


def test_a_convolution(say: Say, shown: Callable[..., str]) -> None:
    arguments = ["conv", "--in", "28x28x192", "--kernel", "5", "--filters", "32"]
    assert say(*arguments)["macs"] == 120_422_400
    assert "MACs 28 x 28 x 32 x 5 x 5 x 192 = 120,422,400" in shown(*arguments)
    more = say(*arguments, "--stride", "2", "--padding", "1", "--dilation", "2", "--groups", "4")
    assert (more["output"], more["groups"], more["dilation"]) == ([11, 11, 32], 4, 2)


@pytest.mark.slow
def test_ideas(say: Say, shown: Callable[..., str]) -> None:
    document = say("ideas")
    assert document["kind"] == "ideas"
    assert "1x1 to 16 channels, then 5x5 / 5x5 on all 192 channels MACs 12 M 120 M 0.103" in shown("ideas")


@pytest.mark.slow
def test_published(say: Say, shown: Callable[..., str]) -> None:
    document = say("published")
    assert document["kind"] == "published"
    row = next(row for row in document["rows"] if row["network"] == "resnet50")
    assert (row["top1"], row["top5"], row["parameters"], row["macs"]) == (76.156, 92.866, 25_557_032, 4_089_184_256)
    text = shown("published")
    assert "resnet50 76.2 92.9 224 26 M 4.1 G timm, results-imagenet.csv" in text
    assert "mobilenet_v1 70.6 – 224 4.2 M 569 M Howard et al. 2017, Table 6" in text


@pytest.mark.slow
def test_papers(say: Say, shown: Callable[..., str]) -> None:
    document = say("--papers")
    assert document["kind"] == "papers"
    text = shown("--papers")
    assert "resnet50 parameters 25,557,032 25,557,032 yes" in text
    for row in document["rows"]:
        for sentence in (row["difference"], row["remark"]):
            assert not sentence or sentence in text


@pytest.mark.slow
def test_the_picture(say: Say, tmp_path: Path) -> None:
    document = say("resnet20", "--png", str(tmp_path / "resnet20.png"))
    assert document["png"] == str(tmp_path / "resnet20.png")
    assert (tmp_path / "resnet20.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_page_holds_accuracies_and_ideas(say: Say, tmp_path: Path) -> None:
    document = say("resnet20", "--against", "plain20", "--html", str(tmp_path / "page.html"))
    assert document["html"] == str(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    for word in ("plain20", "Accuracy and its price", "What each idea saves"):
        assert word in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet5"], 'unknown network "resnet5", did you mean'),
        (["resnet50", "--against", "gogglenet"], 'did you mean "googlenet"'),
        (["resnet50", "--against", "vgg16", "--against", "resnet50"], "is given twice"),
        (["cnv", "--in", "8x8x3", "--kernel", "3", "--filters", "2"], 'did you mean "conv"'),
        (["idea"], 'did you mean "ideas"'),
        (["publishd", "--json"], 'did you mean "published"'),
        (["resnet50", "--classes", "0"], "at least one class"),
        (["resnet50", "--classes", "-3"], "at least one class"),
        (["resnet50", "--input", "0"], "--input"),
        (["resnet50", "--input", "2x2"], "--input"),
        (["resnet50", "--input", "99999999999"], "--input"),
        (["vgg16", "--input", "31"], "32 or more"),
        (["resnet50", "--style", "pretty"], "--style"),
        (["resnet20", "--stem", "imagenet"], "no stem"),
        (["mobilenet_v2:width=-1"], "width -1 is out of range"),
        (["resnet20:shortcut=Z"], 'no shortcut "Z"'),
        ([], "anatomy needs a network"),
        ([""], "anatomy needs a network"),
        (["--papers", "resnet50"], "give it alone"),
        (["--papers", "--input", "64"], "give it alone"),
        (["--papers", "--style", "paper"], "give it alone"),
        (["--papers", "--layers"], "give it alone"),
        (["resnet20", "--html", "page", "--png", "page"], "same file"),
        (["resnet20", "--html", "page", "--png", "x/../page"], "same file"),
        (["--json", "ideas"], "ideas comes first"),
        (["conv", "--in", "28x28", "--kernel", "3", "--filters", "2"], "is no input shape"),
        (["conv", "--in", "8x8x3", "--kernel", "0", "--filters", "2"], "kernel must be 1 or more"),
        (["conv", "--in", "8x8x3", "--kernel", "3", "--filters", "2", "--groups", "2"], "do not divide"),
        (["conv", "--kernel", "3", "--filters", "2"], "--in"),
    ],
)
def test_bad_input(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["anatomy", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert len(output.err.splitlines()) == 1
    assert message in output.err


def test_no_network_is_taken_for_a_slip_of_a_verb() -> None:
    verbs = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    assert {"conv", "ideas", "published"} < set(verbs)
    assert not [name for name in ARCHITECTURES if closest(name, verbs)]


def test_help_names_the_other_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["anatomy", "--help"]) == 0
    text = capsys.readouterr().out
    assert "anatomy conv" in text
    assert "anatomy ideas" in text
    assert "anatomy published" in text
    assert "--against" in text
