"""The map: every picture drawn has a place in the plane, and alike ones are close."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sightline.bundle import Bundle
from sightline.data.dataset import Dataset
from sightline.search import map as module
from sightline.search.build import build
from sightline.search.index import Index
from sightline.search.map import map_of
from tests.search.test_build import few
from tests.tiny_network import make_bundle


@pytest.fixture(scope="module")
def bundle(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "bundle", digits)


@pytest.fixture(scope="module")
def index(digits: Dataset, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Index:
    return build(digits, bundle, tmp_path_factory.mktemp("indexes") / "digits", method="exact")


def test_neighbours_on_the_map_are_alike(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 400)
    document = map_of(index)
    assert (document["method"], document["count"], len(document["points"])) == ("t-SNE", 1797, 400)
    places = np.array([[point["x"], point["y"]] for point in document["points"]])
    assert places.min(0).tolist() == [0, 0]
    assert places.max(0).tolist() == [1, 1]
    labels = np.array([point["label"] for point in document["points"]])
    away = ((places[:, None] - places) ** 2).sum(2)
    np.fill_diagonal(away, np.inf)
    assert (labels[away.argmin(1)] == labels).mean() > 0.8
    first = document["points"][0]
    assert first["picture"] == index.name_of(first["row"])
    assert map_of(index) == document


@pytest.mark.parametrize("count", [2, 3, 20])
def test_few_pictures_lie_on_their_principal_axes(digits: Dataset, bundle: Bundle, tmp_path: Path, count: int) -> None:
    document = map_of(build(few(digits, count, tmp_path / "few"), bundle, tmp_path / "index"))
    assert (document["method"], len(document["points"])) == ("PCA", count)
    assert all(0 <= point[axis] <= 1 for point in document["points"] for axis in ("x", "y"))
