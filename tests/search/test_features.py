"""Neighbours in real features: MobileNet v2's of the clothing photos, and MNIST's pixels, beside what was measured."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from sightline import api
from sightline.core.wording import percent


def told(title: str, table: dict) -> list[float]:  # type: ignore[type-arg]
    """The accuracies of a table of dimensions, which is printed."""
    print(f"\n{title}: {table['why']}")
    for row in table["rows"]:
        print(f"{row['dims']:>5} {percent(row['explained']):>7} {percent(row['accuracy']):>7}")
    return [row["accuracy"] for row in table["rows"]]


def test_clothing_as_mobilenet_v2_sees_it(shared: Callable[[str], Path], tmp_path: Path) -> None:
    weights = shared("data/mobilenet_v2/mobilenet_v2_imagenet.safetensors")
    photos = api.prepare(shared("data/clothing/clothing_subset.zip"), tmp_path / "photos")
    index = api.index(photos, out=tmp_path / "index", weights=weights, method="exact")
    table = index.document["pca_table"]
    accuracies = told("clothing", table)
    assert [row["dims"] for row in table["rows"]] == [1, 2, 3, 4, 5, 10, 20, 50, 75, 100, 150, 200, 745]
    assert accuracies[0] < 0.35 < 0.55 < accuracies[5] < accuracies[7]
    assert 0.60 < accuracies[-1] < 0.64  # all dimensions: 62 % of 5 neighbours, measured
    assert table["chosen"] in (20, 50, 75)
    assert 0.70 < index.document["quality"]["neighbour_accuracy"] < 0.77  # 73 % measured
    assert index.document["backend"]["name"] == "exact"


def test_digits_by_their_pixels(shared: Callable[[str], Path], tmp_path: Path) -> None:
    files = [file for file in shared("data/mnist").iterdir() if file.name.startswith("t10k")]
    assert len(files) == 2
    (tmp_path / "mnist").mkdir()
    for file in files:
        shutil.copy(file, tmp_path / "mnist" / file.name.replace("t10k", "train"))
    digits = api.prepare(tmp_path / "mnist", tmp_path / "digits")
    index = api.index(digits, out=tmp_path / "index", pixels=True, method="exact")
    assert index.document["count"] == 10_000
    assert index.document["embedding_dim"] == 784
    table = index.document["pca_table"]
    accuracies = told("MNIST", table)
    assert accuracies[:6] == sorted(accuracies[:6])  # rises as the course's does, up to 10 dimensions
    assert accuracies[0] < 0.35
    assert accuracies[5] > 0.85
    assert 0.93 < accuracies[-1] < 0.96  # all: 94.5 % of 5 neighbours, measured
    assert table["chosen"] in (20, 50, 75)
