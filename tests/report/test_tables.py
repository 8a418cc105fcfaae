from __future__ import annotations

from sightline.report import tables
from tests.report.documents import comparison


def test_quality_shows_the_figures_with_the_interval_below() -> None:
    networks = comparison()["networks"]
    table = tables.quality(networks)
    assert [name for name, _, _ in table.rows] == ["resnet20", "googlenet"]
    top1 = table.rows[0][2][table.titles.index("test top-1")]
    assert top1.text == f"{networks[0]['top1']['mean'] * 100:.1f}\u00a0%"
    assert top1.small.startswith(f"{networks[0]['top1']['low'] * 100:.1f} to ")


def test_balanced_accuracy_is_shown_where_classes_are_uneven() -> None:
    networks = [{**network, "balanced_accuracy": {"mean": 0.5}} for network in comparison()["networks"]]
    assert "balanced accuracy" not in tables.quality(networks).titles
    table = tables.quality(networks, uneven=True)
    assert table.rows[0][2][table.titles.index("balanced accuracy")].text == "50.0\u00a0%"


def test_the_best_of_each_column_is_marked() -> None:
    table = tables.cost(comparison()["networks"])
    marked = {title: [cells[i].best for _, _, cells in table.rows] for i, title in enumerate(table.titles)}
    assert marked["parameters"] == [True, False]
    assert marked["running images/s"] == [True, False]
    assert marked["FLOPs"] == [False, False]


def test_flops_are_twice_the_macs() -> None:
    table = tables.cost([{"arch": "x", "macs": 2_000_000}])
    cells = dict(zip(table.titles, table.rows[0][2], strict=True))
    assert (cells["MACs"].text, cells["FLOPs"].text) == ("2.0\u00a0M", "4.0\u00a0M")


def test_nothing_is_best_alone_or_when_all_read_the_same() -> None:
    alone = comparison()["networks"][:1]
    twins = [{"arch": "a", "parameters": 1_000_001}, {"arch": "b", "parameters": 1_000_002}]
    assert not any(cell.best for _, _, cells in tables.cost(alone).rows for cell in cells)
    assert not any(cell.best for _, _, cells in tables.cost(twins).rows for cell in cells)


def test_an_unknown_figure_is_a_dash_and_never_best() -> None:
    table = tables.cost([{"arch": "a", "train_seconds": None}, {"arch": "b", "train_seconds": 5.0}])
    cells = [dict(zip(table.titles, row, strict=True))["training time"] for _, _, row in table.rows]
    assert (cells[0].text, cells[0].best) == ("–", False)
