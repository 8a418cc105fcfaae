"""`sightline index` and what it says of an index, on digits embedded as their own pixels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.cli import run
from sightline.data.dataset import Dataset
from sightline.search.backends import make
from tests.tiny_network import make_bundle


@pytest.fixture(scope="module")
def made(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("indexes")
    bundle = make_bundle(place / "bundle", digits)
    assert run(["index", str(digits.path), "--run", str(bundle.path), "--out", str(place / "index")]) == 0
    return place / "index"


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Any:
    """What a command prints, as text, or with --json as a document."""

    def told(*arguments: str) -> Any:
        capsys.readouterr()
        assert run([*map(str, arguments)]) == 0
        out = capsys.readouterr().out
        return json.loads(out) if "--json" in arguments else " ".join(out.split())

    return told


def test_it_says_what_it_is_and_what_was_tried(made: Path, said: Any) -> None:
    document = said("index", made, "--describe", "--json")
    assert document["kind"] == "index"
    text = said("index", made, "--describe")
    assert "pictures │ 1,797" in text
    assert f"{document['dim']} of 64" in text
    assert document["tuning"]["why"].split(",")[0][:30] in text
    for trial in document["tuning"]["trials"]:
        assert trial["method"] in text


def test_it_verifies_and_notices_what_has_drifted(made: Path, said: Any, tmp_path: Path) -> None:
    document = said("index", made, "--verify", "--json")
    assert (document["drifted"], document["recall"] >= 0.98) == (False, True)
    assert "as it was chosen to" in said("index", made, "--verify")
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    vectors = np.load(copy / "v1" / "vectors.npy")
    np.save(copy / "v1" / "vectors.npy", np.roll(vectors, 700, axis=0))  # the method's own files are of the old order
    document = json.loads((copy / "index.json").read_text())
    document["backend"] = {"name": "ivf", "parameters": {"cells": 64, "effort": 1}}
    (copy / "index.json").write_text(json.dumps(document))
    make("ivf", cells=64, effort=1).fit(vectors).save(copy / "v1")
    assert "warning: " in said("index", copy, "--verify")


def test_near_duplicates_and_suspected_labels_are_listed(made: Path, said: Any, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    items = np.load(copy / "v1" / "items.npy")
    row = int(np.flatnonzero(items["label"] == 4)[0])
    items["label"][row] = 9
    np.save(copy / "v1" / "items.npy", items)
    document = said("index", copy, "--duplicates", "--json", "--within", "0.01")
    assert row in {one["row"] for one in document["suspects"]}
    assert all(one["label"] != one["other"] for one in document["suspects"])
    assert document["groups"]
    assert all(len(group) > 1 for group in document["groups"])
    assert "its neighbours'" in said("index", copy, "--duplicates", "--within", "0.01")


def test_the_table_of_dimensions_is_told(made: Path, said: Any) -> None:
    document = said("index", made, "--pca-table", "--json")
    assert [row["dims"] for row in document["rows"]][:6] == [1, 2, 3, 4, 5, 10]
    text = said("index", made, "--pca-table")
    assert f"{document['chosen']} (chosen)" in text
    assert document["why"] in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--describe", "--verify"], "--describe and --verify: ask for one at a time"),
        (["--describe", "--pca", "5", "-k", "3"], "--pca and -k: leave it out with --describe, which asks about"),
        (["--map", "--within", "0.1"], "--within: leave it out with --map, which asks about"),
        ([], "index needs what embeds the pictures: --run, or --weights (with --arch), or --pixels; one"),
        (["--run", "x", "--pixels"], "or --pixels; one"),
        (["--run", "x", "--arch", "resnet18"], "or --pixels; one"),
        (["--run", "x", "--pca", "many"], '--pca "many": use auto, none, or a number of dimensions'),
        (["--run", "x", "--tune-budget", "long"], '"long" is not a time'),
    ],
)
def test_what_cannot_be_asked(arguments: list[str], words: str, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["index", str(made), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_rows_parts_and_others_are_searched(made: Path, said: Any, tmp_path: Path) -> None:
    page = tmp_path / "search.html"
    options = ["-k", "3", "--exclude-self", "--class", "3", "--html", page, "--json"]
    document = said("search", made, "7", "12", *options)
    assert len(document["queries"]) == 2
    for query in document["queries"]:
        assert {neighbour["label"] for neighbour in query["neighbours"]} == {"3"}
        assert query["picture"] not in {neighbour["picture"] for neighbour in query["neighbours"]}
    assert page.exists()


def test_pixels_need_no_network_and_what_is_new_is_added(
    said: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "pictures"
    drawn = np.random.default_rng(0)
    for label, side in (("wide", 9), ("narrow", 3)):
        (folder / label).mkdir(parents=True)
        for number in range(20):
            pixels = drawn.integers(0, 60, (12, 12), np.uint8)
            pixels[:, :side] += 150
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    first = said("index", "pictures", "--pixels", "--json")
    assert (first["arch"], first["embedding_dim"], first["count"]) == ("pixels", 12 * 12, 40)
    assert first["quality"]["neighbour_accuracy"] == 1
    Image.fromarray(drawn.integers(0, 60, (12, 12), np.uint8)).save(folder / "wide" / "new.png")
    (folder / "wide" / "0.png").unlink()
    again = said("index", "pictures", "--pixels", "--json")
    assert (again["count"], again["model_hash"], again["version"]) == (40, first["model_hash"], "v2")
    said("index", "pictures", "--pixels", "--json", "--out", "anew")
    ours, theirs = (np.load(tmp_path / place / "vectors.npy") for place in ("indexes/pictures/v2", "anew/v1"))
    assert np.array_equal(ours, theirs)
    assert sorted(path.name for path in (tmp_path / "indexes/pictures").iterdir()) == [
        "charts", "embeddings.sqlite", "index.json", "report.html", "v2",
    ]  # fmt: skip
    found = said("search", "indexes/pictures", folder / "wide" / "3.png", "-k", "2", "--exclude-self", "--json")
    assert [one["label"] for one in found["queries"][0]["neighbours"]] == ["wide", "wide"]


def test_the_page_of_a_search_says_what_its_distances_are(made: Path, said: Any, tmp_path: Path) -> None:
    bundle = made / json.loads((made / "index.json").read_text())["version"] / "bundle"
    data = json.loads((made / "index.json").read_text())["dataset"]["path"]
    out = tmp_path / "euclidean"
    said("index", data, "--run", bundle, "--metric", "euclidean", "--method", "exact", "--pca", "none", "--out", out)
    for index, words in ((out, "that of the vectors"), (made, "one less the cosine")):
        said("search", index, "3", "--html", tmp_path / "search.html")
        assert words in (tmp_path / "search.html").read_text()
