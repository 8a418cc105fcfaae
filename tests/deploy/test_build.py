"""A deployment is a folder that stands alone, whole or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import sightline
from sightline.bundle import Bundle
from sightline.cli import run
from sightline.core.errors import UserError
from sightline.data.dataset import Dataset
from sightline.deploy import build
from sightline.deploy.build import deploy
from sightline.deploy.manifests import MANIFESTS, name_of
from sightline.deploy.measure import Measured
from sightline.run import Run
from sightline.search.index import Index
from sightline.search.thumbnails import thumbnail_of
from tests.tiny_network import make_bundle, make_run


@pytest.mark.parametrize("target", MANIFESTS)
def test_a_folder_holds_all_the_image_needs(target: str, deployment: Callable[[str], Path], bundle: Bundle) -> None:
    folder = deployment(target)
    names = {path.name for path in folder.iterdir()}
    indexed = {"index"} if target in ("docker", "aws") else set()
    always = {"Dockerfile", ".dockerignore", "README.md", "requirements.txt", "model", "program"}
    assert names == always | indexed | set(MANIFESTS[target])
    assert Bundle.open(folder / "model").model_hash == bundle.model_hash
    for file in ("cli/serve.py", "serve/static/page.js", "deploy/templates/Dockerfile.j2"):
        there = folder / "program" / "sightline" / file
        assert there.read_bytes() == (Path(sightline.__file__).parent / file).read_bytes()
    assert not list(folder.rglob("__pycache__"))
    assert not list(folder.rglob("*.pyc"))
    assert "Name: sightline" in next((folder / "program").glob("*.dist-info/METADATA")).read_text()


@pytest.mark.parametrize("target", MANIFESTS)
def test_the_readme_has_no_gap(target: str, deployment: Callable[[str], Path], measured: Measured) -> None:
    text = (deployment(target) / "README.md").read_text()
    assert "None" not in text
    assert "{" not in text.replace("${IMAGE%%/*}", "")
    assert f"{1000 * measured.request_cpu_s:.1f} ms" in text or measured.request_cpu_s > 0.1
    assert max(len(line) for line in text.splitlines()) <= 130
    assert all(name in text for name in MANIFESTS[target])


def test_an_index_travels_with_small_pictures_and_without_the_network_again(
    deployment: Callable[[str], Path], index: Index
) -> None:
    folder = deployment("docker") / "index"
    there = Index.open(folder)
    assert len(there) == len(index) == 12
    assert [found.row for found in there.search(3, 4)] == [found.row for found in index.search(3, 4)]
    assert all(thumbnail_of(there.path, row).read_bytes()[:2] == b"\xff\xd8" for row in range(12))
    assert not list(folder.rglob("model.onnx"))
    assert not list(folder.rglob("embeddings.sqlite"))


def test_pictures_that_are_gone_are_counted(
    bundle: Bundle, index: Index, measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "measure", lambda *_: measured)
    monkeypatch.setattr(Index, "name_of", lambda self, row: str(tmp_path / f"{row}.png"))
    said = deploy("docker", bundle.path, tmp_path / "out", index=index.path)
    assert said["index"] == {"pictures": 12, "missing": 12}


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_others_may_read_it_whatever_the_umask(
    bundle: Bundle, measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "measure", lambda *_: measured)
    before = os.umask(0o077)
    try:
        deploy("docker", bundle.path, tmp_path / "out")
    finally:
        os.umask(before)
    modes = {path.is_dir(): path.stat().st_mode & 0o777 for path in (tmp_path / "out").rglob("*")}
    assert modes == {True: 0o755, False: 0o644}


def test_the_verb_measures_and_says_what_it_chose(
    bundle: Bundle, index: Index, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(["deploy", "gcp", str(bundle.path), "--out", str(out), "--index", str(index.path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["kind"], said["target"], said["path"]) == ("deployment", "gcp", str(out))
    assert said["sizes"]["gcp"]["processors"] == 1
    assert said["measured"]["peak_bytes"] > 80e6
    assert said["index"] == {"pictures": 12, "missing": 0}
    assert sorted(path.name for path in out.iterdir()) == said["files"]


def test_a_run_is_deployed_and_shown(
    digits: Dataset, measured: Measured, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(build, "measure", lambda *_: measured)
    make_run(tmp_path / "run", digits)
    assert run(["deploy", "aws", str(tmp_path / "run"), "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "Lambda" in shown
    assert "App Runner" in shown
    assert f"next    {tmp_path / 'out' / 'README.md'}" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["docker", "nowhere", "--out", "new"], "nowhere"),
        (["docker", "bundle", "--out", "bundle"], "bundle exists already: choose another place, or remove it first"),
        (["docker", "unfinished", "--out", "new"], "unfinished has no bundle yet, it is interrupted: finish it with"),
        (["docker", "bundle", "--out", "new", "--index", "indexed"], "was made by network"),
        (["docker", "bundle", "--out", "new", "--index", "bundle"], "no index at bundle: index.json is missing"),
        (["heroku", "bundle", "--out", "new"], "heroku"),
        (["docker", "bundle"], "--out"),
    ],
)
def test_what_cannot_be_deployed_is_one_line_and_leaves_nothing(
    arguments: list[str], said: str, digits: Dataset, index: Index, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    make_bundle(tmp_path / "bundle", digits, noise=0.01)
    Run.create("unfinished", make_run(tmp_path / "finished", digits).document | {"status": "interrupted"})
    (tmp_path / "indexed").symlink_to(index.path)
    before = set(tmp_path.iterdir())
    assert run(["deploy", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert said in error
    assert set(tmp_path.iterdir()) == before


def test_a_service_that_fails_leaves_nothing(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> Measured:
        raise UserError("the service did not begin")

    monkeypatch.setattr(build, "measure", fails)
    with pytest.raises(UserError, match="did not begin"):
        deploy("docker", bundle.path, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_target_is_named_by_its_near_miss(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'no target "kubernets", did you mean "kubernetes"\?: choose docker, aws'):
        deploy("kubernets", bundle.path, tmp_path / "out")


@pytest.mark.parametrize(
    ("arch", "name"),
    [
        ("resnet20:shortcut=B", "sightline-resnet20-shortcut-b"),
        ("ÄÖ", "sightline"),
        ("a" * 90, "sightline-" + 22 * "a"),
    ],
)
def test_names_are_what_every_cloud_takes(arch: str, name: str) -> None:
    assert name_of(arch) == name
