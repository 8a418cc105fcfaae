"""`scratch explore`: from a network and a picture to the page and the document."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

from sightline.cli import explore
from sightline.core.errors import UserError
from sightline.data.preprocess import Preprocess
from sightline.exporting.scratch import export_scratch
from sightline.run import Run
from sightline.scratch.architectures import make
from sightline.scratch.bundles import from_bundle

CLASSES = ["cat", "dog", "bird"]
Call = Callable[..., None]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call the verb in an empty directory with a grey and a colour picture and a bundle."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (30, 40), dtype=np.uint8)).save("grey.png")
    Image.fromarray(random.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save("colour.png")
    write_bundle(tmp_path / "bundle", "resnet20")
    app = typer.Typer()
    app.command()(explore.command)
    return lambda *arguments: app([str(argument) for argument in arguments], standalone_mode=False)


def write_bundle(folder: Path, arch: str) -> None:
    network = make("resnet20", classes=3)
    network.initialise(5)
    export_scratch(
        network, arch=arch, stem="small", style="paper", classes=CLASSES, metrics={}, data={}, out=folder,
        preprocess=Preprocess(32, 3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3)),
        golden_images=np.zeros((1, 32, 32, 3), np.uint8),
    )  # fmt: skip


def test_a_bundle_s_own_picture_is_followed(call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("bundle", "colour.png", "--class", "bird", "--json", "--out", "deep/page.html")
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["kind"] == "exploration"
    assert (document["network"], document["seed"], document["picture"]) == ("resnet20", None, "colour.png")
    assert document["classes"][document["target"]] == "bird"
    with Image.open("colour.png") as image:
        square = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR, box=(5, 0, 35, 30)))
    logits = from_bundle(tmp_path / "bundle").logits(square[None])[0]
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    np.testing.assert_allclose(document["probabilities"], expected, atol=1e-4)
    assert document["report"] == "deep/page.html"
    assert "How resnet20 sees colour.png" in Path("deep/page.html").read_text()


def test_a_run_is_its_bundle(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    known = {"arguments": {"arch": "resnet20"}, "seed": 0, "data": {"fingerprint": "none"}}
    Run.create("runs/mine", {"status": "done", **known})
    Path("bundle").rename("runs/mine/bundle")
    call("mine", "grey.png")
    assert "resnet20 says" in capsys.readouterr().out
    assert Path("explore.html").exists()
    Run.create("runs/begun", {"status": "interrupted", **known})
    with pytest.raises(UserError, match="begun has no bundle yet, it is interrupted"):
        call("begun", "grey.png")


def test_an_untrained_network_takes_the_picture_s_channels(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for arguments in (("grey.png", "--seed", 3), ("grey.png", "--seed", 3), ("grey.png",), ("colour.png",)):
        call("lenet", *arguments, "--classes", 4, "--json")
        said.append(json.loads(capsys.readouterr().out))
    assert [document["pixels"]["shape"] for document in said] == [[28, 28, 1]] * 3 + [[28, 28, 3]]
    assert [document["seed"] for document in said] == [3, 3, 0, 0]
    assert said[0]["probabilities"] == said[1]["probabilities"] != said[2]["probabilities"]
    assert said[0]["classes"] == [f"class {number}" for number in range(4)]
    call("lenet", "grey.png")
    assert "(untrained)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lenett", "grey.png"), '"lenett" is neither a run nor a network in NumPy, did you mean "lenet"?'),
        (("grey.png", "grey.png"), "grey.png holds neither a run nor a bundle"),
        (("resnet20:depth=3", "grey.png"), 'resnet20 has no option "depth"'),
        (("lenet", "none.png"), "none.png: no such file"),
        (("lenet", "bundle/bundle.json"), "bundle.json: not an image"),
        (("bundle", "grey.png", "--class", "brid"), 'no class "brid", did you mean "bird"? there are cat, dog, bird'),
        (("bundle", "grey.png", "--size", 64), "bundle is trained: --seed, --classes and --size are for"),
        (("unknown", "grey.png"), 'no network "efficientnet_b0" in NumPy'),
    ],
)
def test_what_people_do_wrong(call: Call, arguments: tuple[Any, ...], message: str) -> None:
    write_bundle(Path("unknown"), "efficientnet_b0")
    with pytest.raises(UserError) as error:
        call(*arguments)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert not Path("explore.html").exists()


def test_a_place_that_cannot_be_written_is_said_before_the_work(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr("sightline.scratch.seeing.explore", lambda *_: pytest.fail("it worked first"))
    with pytest.raises(UserError, match="may not be written to"):
        call("lenet", "grey.png")
