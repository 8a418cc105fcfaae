from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.anatomy import papers
from sightline.anatomy.differences import inception_v2_parameters
from sightline.anatomy.layer import Layer
from sightline.anatomy.papers import Row, rounds_to
from sightline.anatomy.trace import Anatomy, trace

pytestmark = pytest.mark.slow

Rows = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return papers.table()


@pytest.fixture(scope="module")
def rows(document: dict[str, Any]) -> Rows:
    named = {(row["network"], row["figure"]): row for row in document["rows"]}
    assert len(named) == len(document["rows"])
    return named


def test_ours_is_exact_wherever_an_exact_figure_is_known(document: dict[str, Any]) -> None:
    assert json.loads(json.dumps(document)) == document
    known = [row for row in document["rows"] if row["exact"] is not None]
    assert len(known) > 45
    assert [row for row in known if row["ours"] != row["exact"]] == []


def test_every_disagreement_is_explained_and_only_those(document: dict[str, Any]) -> None:
    for row in document["rows"]:
        assert bool(row["difference"]) == (row["agrees"] is False or row["ours"] is None), row


def test_the_exact_figures_are_torchvisions(shared: Callable[[str], Path]) -> None:
    theirs = json.loads(shared("reference/torchvision_models.json").read_text())["models"]
    for name, exact in papers.EXACT.items():
        assert exact == (theirs[name]["parameters"], theirs[name]["multiply_adds"]), name


def numbers(text: str) -> set[float]:
    return {float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", text)}


def test_every_number_of_the_facts_tables_is_stated(shared: Callable[[str], Path], document: dict[str, Any]) -> None:
    stated = ("network", "figure", "paper", "notes_say", "exact", "difference")
    known = numbers(" ".join(str(row[key]) for row in document["rows"] for key in stated))
    lines = [line for line in shared("FACTS.md").read_text().splitlines() if line.startswith("|")]
    assert len(lines) > 20
    for line in lines:
        assert numbers(line.replace("ILSVRC'15", "")) <= known, line


def test_the_look_alikes_are_the_facts_by_column(shared: Callable[[str], Path], rows: Rows) -> None:
    lines = shared("FACTS.md").read_text().splitlines()
    (dims,) = (line for line in lines if line.startswith("| PCA dims"))
    start = lines.index(dims)
    said = [[cell.strip() for cell in line.split("|")[2:-1]] for line in (dims, *lines[start + 2 : start + 4])]
    found = {figure: row["notes_say"] for (_, figure), row in rows.items() if figure.startswith("PCA to ")}
    for dim, accuracy, seconds in zip(*said, strict=True):
        assert found[f"PCA to {dim}, 5 neighbours, accuracy %"] == accuracy
        assert found[f"PCA to {dim}, 5 neighbours, seconds"] == seconds


@pytest.mark.parametrize(
    ("name", "figure", "stated"),
    [
        ("plain110", "CIFAR-10 test error %", "above 60"),
        ("plain56", "CIFAR-10 training and test error", "above plain20's"),
        ("resnet50", "CIFAR-10 top-1 %", "95.62"),
        ("googlenet", "CIFAR-10 top-1 %", "95.35"),
        ("mobilenet_v2", "CIFAR-10 top-1 %", "93.69"),
    ],
)
def test_what_is_measured_is_not_ours_and_has_a_source(rows: Rows, name: str, figure: str, stated: str) -> None:
    row = rows[name, figure]
    assert stated in (row["paper"], row["notes_say"])
    assert row["ours"] is None
    assert row["source"]


def test_compound_scaling_is_the_rule(rows: Rows) -> None:
    steps = {figure: row for (name, figure), row in rows.items() if name == "efficientnet, each step of phi"}
    assert [row["paper"] for row in steps.values()] == ["1.2", "1.1", "1.15", "2"]
    assert [row["ours"] for row in steps.values()] == pytest.approx([1.2, 1.1, 1.15, 1.2 * 1.1**2 * 1.15**2], rel=0.01)
    assert all(row["agrees"] for row in steps.values())


def test_a_row_that_agrees_may_carry_a_remark(rows: Rows) -> None:
    row = rows["googlenet", "MACs"]
    assert row["agrees"]
    assert row["difference"] is None
    assert f"{rows['googlenet', 'MACs, paper style']['ours']:,}" in row["remark"]


# Network, and what its paper states: MACs, parameters
STATED = [
    ("alexnet", None, "60 M"), ("vgg16", "15.3 G", "138 M"), ("vgg19", "19.6 G", "144 M"), ("googlenet", "1.5 G", None),
    ("resnet18", "1.8 G", None), ("resnet34", "3.6 G", None), ("resnet50", "3.8 G", None), ("resnet101", "7.6 G", None),
    ("resnet152", "11.3 G", None), ("plain18", "1.8 G", None), ("plain34", "3.6 G", None),
    ("mobilenet_v1", "569 M", "4.2 M"), ("mobilenet_v2", "300 M", "3.4 M"),
    ("efficientnet_b0", "0.39 G", "5.3 M"), ("efficientnet_b1", "0.70 G", "7.8 M"),
    ("efficientnet_b2", "1.0 G", "9.2 M"), ("efficientnet_b3", "1.8 G", "12 M"), ("efficientnet_b4", "4.2 G", "19 M"),
    ("efficientnet_b5", "9.9 G", "30 M"), ("efficientnet_b6", "19 G", "43 M"), ("efficientnet_b7", "37 G", "66 M"),
    ("resnet20", None, "0.27 M"), ("resnet32", None, "0.46 M"), ("resnet44", None, "0.66 M"),
    ("resnet56", None, "0.85 M"), ("resnet110", None, "1.7 M"), ("resnet1202", None, "19.4 M"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "macs", "size"), STATED)
def test_every_figure_the_papers_state_has_a_row(rows: Rows, name: str, macs: str | None, size: str | None) -> None:
    for figure, stated in (("MACs", macs), ("parameters", size)):
        if stated:
            assert rows[name, figure]["paper"] == stated
            assert rows[name, figure]["ours"]


def test_the_courses_arithmetic(rows: Rows) -> None:
    ours = {key: row["ours"] for key, row in rows.items()}
    assert ours["3x3 pool, stride 1, no padding", "output of 28"] == 26
    assert ours["5x5, 32 filters, on 28x28x192", "MACs"] == 120_422_400
    assert ours["1x1 reduction, then 5x5", "MACs"] == 12_443_648
    assert ours["inception 3a", "channels out, 64 + 128 + 32 + 32"] == 256
    assert ours["depthwise separable on 6x6x3", "MACs"] == 672
    assert ours["depthwise separable on 6x6x3", "MACs, of the full convolution's"] == pytest.approx(1 / 5 + 1 / 9)
    whole = ours["depthwise separable on 6x6x3", "1/filters + 1/kernel² = 1/5 + 1/9"]
    assert whole == pytest.approx(ours["depthwise separable on 6x6x3", "MACs, of the full convolution's"])
    assert ours["1x1 reduction, then 5x5", "times fewer MACs"] == pytest.approx(9.68, abs=0.01)
    assert ours["bottleneck on 48x48x256", "MACs"] == 160_432_128
    assert ours["two 3x3 on 48x48x256", "MACs"] == 2_717_908_992


def test_googlenet_row_by_row(rows: Rows) -> None:
    ours = {figure: row["ours"] for (name, figure), row in rows.items() if name == "googlenet"}
    assert ours["parameters, with both auxiliary heads"] == 13_004_888
    assert ours["parameters, without auxiliary heads"] == 6_624_904
    assert ours["parameters, paper style, without auxiliary heads"] == 6_998_552
    assert ours["times fewer parameters than AlexNet"] == pytest.approx(8.71, abs=0.01)
    assert (ours["layers with parameters"], ours["layers with pooling"]) == (22, 27)
    notes = rows["googlenet", "parameters, with both auxiliary heads"]
    assert notes["notes_say"] == "11.2 M"
    for count in ("6,624,904", "13,004,888", "6,998,552", "11,194,984"):
        assert count in notes["difference"]


def test_the_notes_count_is_inception_v2s_where_its_figure_agrees_with_itself() -> None:
    counted = inception_v2_parameters(96)
    channels = 9_952  # of all convolutions: biases, and running statistics, would add as many each
    for more in (0, channels, 2 * channels, 3 * channels):
        assert rounds_to(counted + more, "11.2 M")
    assert counted == 11_194_984
    assert inception_v2_parameters(128) == 11_285_224  # the ports' 4c and 4d


def of_kind(anatomy: Anatomy, *kinds: str) -> list[Layer]:
    return [layer for layer in anatomy.layers if layer.kind in kinds]


def macs(layers: Iterable[Layer]) -> str:
    return f"{sum(layer.macs for layer in layers):,}"


def parameters(layers: Iterable[Layer]) -> str:
    return f"{sum(layer.parameters for layer in layers):,}"


def efficientnet(n: int, stated: float) -> list[str]:
    """What may explain a count: gates and the linear layer, from the trace; and how far off it is."""
    anatomy = trace(f"efficientnet_b{n}")
    off = 100 * (anatomy.macs / stated - 1)
    gates = [layer for layer in anatomy.layers if re.search(r"fc[12]$", layer.name)]
    same = trace(f"efficientnet_b{n}", style="paper").layers
    return [
        f"{abs(off):.1f} % {'above' if off > 0 else 'below'}",
        macs(gates),
        macs(of_kind(anatomy, "Linear")),
        macs(same),
    ]


# What a sentence must say, counted from traces of the networks it speaks of.
SAID: dict[tuple[str, str], Callable[[], list[str]]] = {
    ("resnet50", "MACs"): lambda: ["v1.5", macs(trace("resnet50", style="paper").layers)],
    ("resnet50", "MACs, paper style"): lambda: [f"{trace('resnet50', style='paper').macs / 1e9:.3f} G, cut"],
    ("resnet34", "MACs"): lambda: ["option A", macs(trace("resnet34:shortcut=A").layers)],
    ("vgg16", "MACs"): lambda: [macs(of_kind(trace("vgg16"), "Conv2d")), macs(of_kind(trace("vgg16"), "Linear"))],
    ("alexnet", "parameters"): lambda: [parameters(trace("alexnet", style="paper").layers)],
    ("efficientnet_b2", "MACs"): lambda: [f"260 it is {macs(trace('efficientnet_b2', size=260).layers)}"],
    ("efficientnet_b2", "parameters"): lambda: [
        parameters([*trace("efficientnet_b2").layers, *of_kind(trace("efficientnet_b2"), "BatchNorm2d")])
    ],  # running statistics are as many as scales and shifts
    ("efficientnet_b1", "MACs"): lambda: efficientnet(1, 0.70e9),
    ("efficientnet_b4", "MACs"): lambda: efficientnet(4, 4.2e9),
    ("mobilenet_v2", "parameters"): lambda: [parameters(of_kind(trace("mobilenet_v2"), "Conv2d", "Linear"))],
    ("mobilenet_v2", "MACs"): lambda: [macs(of_kind(trace("mobilenet_v2"), "Conv2d"))],
    ("googlenet", "MACs, paper style"): lambda: [
        macs(trace("googlenet", style="paper").layers[:1]), f"{2 * 7 * 3 * 64 * 112 * 112:,}", "1.50 G",
    ],
    ("googlenet", "top-1 %"): lambda: ["Inception v2"],
}  # fmt: skip


@pytest.mark.parametrize("key", SAID)
def test_differences_are_named_with_their_numbers(rows: Rows, key: tuple[str, str]) -> None:
    assert rows[key]["agrees"] is not True
    for words in SAID[key]():
        assert words in rows[key]["difference"]


@pytest.mark.parametrize(
    ("value", "text", "same"),
    [
        (3_857_973_248, "3.8 G", False),
        (3_857_973_248, "3.9 G", True),
        (19_421_274, "19.4 M", True),
        (66_347_960, "66 M", True),
        (120_422_400, "120,422,400", True),
        (120_422_401, "120,422,400", False),
        (0.3111, "0.311", True),
        (999_600, "1.0 M", True),
        (22, "22", True),
    ],
)
def test_rounding_is_as_the_figure_is_written(value: float, text: str, same: bool) -> None:
    assert rounds_to(value, text) is same


@given(st.integers(1, 10**12), st.integers(0, 3), st.sampled_from(["k", "M", "G"]))
def test_a_number_rounds_to_itself_written_shorter(value: int, digits: int, unit: str) -> None:
    text = f"{value / papers.UNITS[unit]:.{digits}f} {unit}"
    assert rounds_to(value, text)
    assert not rounds_to(value + 2 * papers.UNITS[unit] / 10**digits, text)


def test_a_row_that_is_not_exact_or_not_the_papers_does_not_agree() -> None:
    assert Row("x", "MACs", 10, "10", "s", 10).agrees is True
    assert Row("x", "MACs", 11, "10", "s", 11).agrees is False
    assert Row("x", "MACs", 11, None, "s", 10).agrees is False
    assert Row("x", "MACs", 10, None, "s", 10, "12").agrees is False
    assert Row("x", "MACs", 10, None, "s").agrees is None
    assert Row("x", "MACs", None, "10", "s").agrees is None
