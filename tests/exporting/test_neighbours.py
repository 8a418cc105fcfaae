"""The classifier by nearest neighbours: one graph that votes as its definition says, and a Run beside others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sightline import api
from sightline.bundle import Bundle, softmax
from sightline.core.errors import UserError
from sightline.data.dataset import Dataset
from sightline.data.pixels import Pixels
from sightline.exporting.neighbours import export_neighbours
from sightline.neighbours import neighbours_run
from tests.tiny_network import GREY8, make_bundle


@pytest.fixture(scope="module")
def bundle(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "bundle", digits)


@pytest.mark.parametrize("k", [1, 5])
def test_it_votes_as_brute_force_does(k: int, bundle: Bundle, digits: Dataset, tmp_path: Path) -> None:
    rows, asked = digits.rows("train"), digits.rows("test")[:60]
    pixels = Pixels(digits, GREY8)
    known, queries = (bundle.run(pixels.read(of)).embedding.astype(np.float64) for of in (rows, asked))
    labels = digits.labels(rows)
    made = export_neighbours(bundle, known.astype(np.float32), labels, digits.classes, k, tmp_path / "nearest")
    outputs = made.run(pixels.read(asked))
    unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (queries, known)]
    near = np.argsort(-(unit[0] @ unit[1].T), axis=1)[:, :k]
    votes = np.stack([np.bincount(labels[own], minlength=10) for own in near])
    assert np.array_equal(votes[np.arange(60), outputs.logits.argmax(1)], votes.max(1))
    shares = softmax(outputs.logits) * (k + 5)  # ten classes, half a vote each before any picture votes
    assert np.abs(shares - 0.5 - votes).max() < 0.6
    assert np.array_equal(outputs.embedding, bundle.run(pixels.read(asked)).embedding)


def test_of_equally_many_votes_a_nearer_neighbour_decides(bundle: Bundle, tmp_path: Path) -> None:
    picture = np.zeros((1, 8, 8, 1), np.uint8)
    picture[0, 0, 0] = 200
    own = bundle.run(picture).embedding[0]
    other = np.zeros(64)
    other[5] = 1
    known = np.stack([own + 0.2 * other, own, own + 0.5 * other, own + 0.1 * other]).astype(np.float32)
    made = export_neighbours(bundle, known, np.array([0, 1, 1, 0]), ("a", "b"), 4, tmp_path / "nearest")
    assert made.run(picture).logits.argmax() == 1


def test_it_stands_beside_trained_runs_and_is_kept(digits: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    document = api.compare(digits, [], neighbours=[bundle.path], out=tmp_path / "compare")
    (network,) = document["networks"]
    assert network["arch"].startswith("5 nearest in ")
    assert network["top1"]["mean"] > 0.95
    (path,) = network["runs"]
    before = (Path(path) / "run.json").stat().st_mtime_ns
    again = neighbours_run(bundle, digits, Path(path))
    assert (again.status, (Path(path) / "run.json").stat().st_mtime_ns) == ("done", before)
    again.update(status="running")  # as if it had been killed
    assert neighbours_run(bundle, digits, Path(path)).status == "done"


def test_fewer_pictures_than_neighbours(digits: Dataset, bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"digits has 1259 training pictures: 2000 nearest take as many"):
        neighbours_run(bundle, digits, tmp_path / "run", k=2000)
    assert not (tmp_path / "run").exists()
