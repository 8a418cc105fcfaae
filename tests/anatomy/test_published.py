from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from sightline.anatomy import published
from sightline.models import ARCHITECTURES

pytestmark = pytest.mark.slow
table = cache(published.table)


def test_the_copied_figures_are_the_sources(shared: Callable[[str], Path]) -> None:
    with shared("data/reference_tables/results-imagenet.csv").open(newline="") as file:
        theirs = {(row["model"], int(row["img_size"])): row for row in csv.DictReader(file)}
    rows = table()["rows"]
    copied = [row for row in rows if row["source"] == published.TIMM]
    assert len(copied) > 20
    for row in copied:
        source = theirs[row["row"], row["size"]]
        assert (row["top1"], row["top5"]) == (float(source["top1"]), float(source["top5"])), row["row"]
        assert round(row["parameters"] / 1e6, 2) == pytest.approx(float(source["param_count"]), abs=0.011), row["row"]


def test_the_mobilenets_are_their_papers() -> None:
    """Howard et al. 2017, Table 6, with MACs and parameters, and Sandler et al. 2018, Table 4, with MACs."""
    rows = {row["network"]: row for row in table()["rows"] if row["network"].startswith("mobilenet")}
    second = {name: rows.pop(name) for name in ("mobilenet_v2", "mobilenet_v2:width=1.4")}
    assert [row["top1"] for row in second.values()] == [72.0, 74.7]
    assert [row["macs"] / 1e6 for row in second.values()] == pytest.approx([300, 585], rel=0.01)
    assert {
        name: (row["top1"], round(row["macs"] / 1e6), round(row["parameters"] / 1e6, 1)) for name, row in rows.items()
    } == {
        "mobilenet_v1:width=0.25": (50.6, 41, 0.5),
        "mobilenet_v1:width=0.5": (63.7, 149, 1.3),
        "mobilenet_v1:width=0.75": (68.4, 325, 2.6),
        "mobilenet_v1": (70.6, 569, 4.2),
    }
    assert all(row["top5"] is None and "et al." in row["source"] for row in (rows | second).values())


def test_every_imagenet_network_with_published_weights_has_a_row() -> None:
    rows = {row["network"] for row in table()["rows"]}
    without = {"plain18", "plain34", "googlenet_small", "googlenet_naive", "efficientnet"}  # nobody published any
    imagenet = {name for name, found in ARCHITECTURES.items() if "imagenet" in found.stems}
    assert imagenet - without <= rows


def test_the_notes_stand_beside_their_networks() -> None:
    document = table()
    assert json.loads(json.dumps(document)) == document
    noted = {row["network"]: row["notes"] for row in document["rows"] if row["notes"]}
    assert {name: (figures["top1"], figures["top5"]) for name, figures in noted.items()} == {
        "alexnet": (63.3, 84.6),
        "vgg16": (74.4, 91.9),
        "vgg19": (74.5, 92.0),
        "googlenet": (74.8, 92.2),
    }


def test_cost_is_counted_at_the_rows_size() -> None:
    rows = {row["network"]: row for row in table()["rows"]}
    assert rows["resnet50"]["macs"] == 4_089_184_256
    assert rows["googlenet"]["parameters"] == 6_624_904  # without the auxiliary heads
