from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.anatomy import published
from sightline.models import ARCHITECTURES


def test_the_copied_figures_are_the_sources(shared: Callable[[str], Path]) -> None:
    with shared("data/reference_tables/results-imagenet.csv").open(newline="") as file:
        theirs = {(row["model"], int(row["img_size"])): row for row in csv.DictReader(file)}
    rows = published.table()["rows"]
    copied = [row for row in rows if row["source"] == published.TIMM]
    assert len(copied) == len(rows) - 2
    for row in copied:
        source = theirs[row["row"], row["size"]]
        assert (row["top1"], row["top5"]) == (float(source["top1"]), float(source["top5"])), row["row"]
        assert round(row["parameters"] / 1e6, 2) == pytest.approx(float(source["param_count"]), abs=0.011), row["row"]


def test_every_imagenet_network_with_published_weights_has_a_row() -> None:
    rows = {row["network"] for row in published.table()["rows"]}
    without = {"plain18", "plain34", "googlenet_small", "googlenet_naive", "efficientnet"}  # nobody published any
    imagenet = {name for name, found in ARCHITECTURES.items() if "imagenet" in found.stems}
    assert imagenet - without <= rows


def test_the_notes_stand_beside_their_networks() -> None:
    document = published.table()
    assert json.loads(json.dumps(document)) == document
    noted = {row["network"]: row["notes"] for row in document["rows"] if row["notes"]}
    assert {name: (figures["top1"], figures["top5"]) for name, figures in noted.items()} == {
        "alexnet": (63.3, 84.6),
        "vgg16": (74.4, 91.9),
        "vgg19": (74.5, 92.0),
        "googlenet": (74.8, 92.2),
    }


def test_cost_is_counted_at_the_rows_size() -> None:
    rows = {row["network"]: row for row in published.table()["rows"]}
    assert rows["resnet50"]["macs"] == 4_089_184_256
    assert rows["googlenet"]["parameters"] == 6_624_904  # without the auxiliary heads
