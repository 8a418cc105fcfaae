"""Measuring and tuning: recall by distance, a bound that keeps its word, and exact search where nothing beats it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sightline.core.errors import UserError
from sightline.search import tune as module
from sightline.search.backends import BACKENDS, Exact
from sightline.search.measure import Measured, Queries, at_least, measured, recalls
from sightline.search.tune import tune
from tests.search.test_backends import clustered


def test_ties_are_no_misses_and_a_row_counts_once() -> None:
    known = np.tile(np.array([[1.0, 0.0]], np.float32), (50, 1))
    known[0] = 0, 1
    queries = Queries.among(known, known[1:4], 3)
    found = np.array([[5, 9, 44], [0, 1, 2], [7, 7, 7]])
    assert recalls(found, known, queries).tolist() == pytest.approx([1, 2 / 3, 1 / 3])


def test_what_is_measured() -> None:
    vectors = clustered(300, 8)
    ticks = iter(range(10_000))
    queries = Queries.among(vectors[100:], vectors[:100], 4)
    figures = measured(Exact().fit(vectors[100:]), vectors[100:], queries, clock=lambda: float(next(ticks)))
    assert figures == Measured(1.0, figures.recall_low, 1e6, 1e6, 100.0, 4, 100)
    assert 0.96 < figures.recall_low < 1


def test_the_bound_lies_below_the_true_recall_in_nearly_all_samples() -> None:
    draw = np.random.default_rng(0)
    truth, below = 0.99, 0
    for _ in range(400):  # each of 5 neighbours is found or not by itself
        found = draw.binomial(5, truth, 500) / 5
        below += at_least(found, 5) <= truth
        assert at_least(found, 5) <= found.mean()
    assert below / 400 > 0.95
    assert at_least(np.ones(1000), 5) > 0.996
    assert at_least(np.zeros(10), 5) == 0


@pytest.mark.parametrize("count", [50, 300, 1000])
def test_the_bound_falls_with_every_miss(count: int) -> None:
    found = np.ones(count)
    bounds = [at_least(found, 5)]
    for place in range(10):
        found[place] -= 0.2
        bounds.append(at_least(found, 5))
    assert bounds == sorted(bounds, reverse=True)
    assert all(bound < found for bound, found in zip(bounds, 1 - 0.2 * np.arange(11) / count, strict=True))


def figures(recall: float, us: float) -> Measured:
    return Measured(recall, recall - 0.002, us, us, 1e6 / us, 5, 100)


@pytest.mark.parametrize(
    ("found", "method", "words"),
    [
        ({"exact": [(1, 100)], "ivf": [(0.9, 10), (0.995, 20)], "hnsw": [(0.996, 15)]}, "hnsw", "6.7 times as fast"),
        ({"exact": [(1, 100)], "ivf": [(0.991, 10)]}, "exact", "nothing else was seen to find 99.0\u00a0% of the true"),
        ({"exact": [(1, 100)], "ivf": [(0.995, 90)]}, "exact", "exact search is enough: ivf (cells 8, effort 1)"),
        ({"exact": [(1, 100)], "ivf": [(0.995, 83)]}, "ivf", "1.2 times as fast"),
        ({"exact": [(1, 100)]}, "exact", "nothing else was seen"),
    ],
)
def test_the_fastest_that_surely_finds_enough_is_chosen_unless_exact_is_nearly_as_fast(
    found: dict[str, list[tuple[float, float]]], method: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(backend: Any, *_: Any) -> Measured:
        name = next(name for name, kind in BACKENDS.items() if type(backend) is kind)
        place = backend.EFFORTS.index(backend.effort) if backend.EFFORTS else 0
        return figures(*found[name][min(place, len(found[name]) - 1)])

    def timed(backends: list[Any], *_: Any) -> list[tuple[float, float]]:
        return [(told(backend).latency_us_median, 0.0) for backend in backends]

    monkeypatch.setattr(module, "measured", told)
    monkeypatch.setattr(module, "by_turns", timed)
    monkeypatch.setattr(module, "BACKENDS", {name: BACKENDS[name] for name in found})
    tuned = tune(clustered(600, 8))
    assert tuned.chosen.method == method
    assert words in tuned.why
    assert tuned.trials[0].method == "exact"


def test_it_really_finds_what_it_promises() -> None:
    vectors = clustered(2500, 24)
    tuned = tune(vectors[:2000], target_recall=0.95, k=3)
    chosen = tuned.chosen
    assert chosen.measured is not None
    assert chosen.measured.recall_low >= 0.95
    backend = BACKENDS[chosen.method](**chosen.parameters).fit(vectors[:2000])
    queries = Queries.among(vectors[:2000], vectors[2000:], 3)  # never seen while tuning
    assert recalls(backend.search(queries.vectors, 3)[1], vectors[:2000], queries).mean() > 0.94
    assert {trial.method for trial in tuned.trials} == BACKENDS.keys()


def test_what_looked_fastest_once_is_timed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow moment while one method was measured does not decide."""
    once = {"exact": 100, "ivf": 50, "hnsw": 10}
    again = {"exact": 100, "ivf": 20, "hnsw": 40}

    def name_of(backend: Any) -> str:
        return next(name for name, kind in BACKENDS.items() if type(backend) is kind)

    monkeypatch.setattr(module, "measured", lambda backend, *_: figures(1.0, once[name_of(backend)]))
    monkeypatch.setattr(module, "by_turns", lambda backends, _: [(again[name_of(one)], 0.0) for one in backends])
    monkeypatch.setattr(module, "BACKENDS", {name: BACKENDS[name] for name in once})
    tuned = tune(clustered(600, 8))
    assert (tuned.chosen.method, tuned.chosen.measured and tuned.chosen.measured.latency_us_median) == ("ivf", 20)
    assert "5.0 times as fast" in tuned.why


@pytest.mark.parametrize("count", [2, 3, 9, 255])
def test_few_vectors_are_compared_one_by_one(count: int) -> None:
    tuned = tune(clustered(count, 40))
    assert tuned.chosen.method == "exact"
    assert tuned.chosen.measured is not None
    assert tuned.chosen.measured.k == min(5, count - count // 2)
    assert tuned.chosen.measured.queries == max(1, count // 2)


def test_of_many_a_sample_says_what_to_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE", 1000)
    tuned = tune(clustered(4000, 24))
    built = {trial.method for trial in tuned.trials if trial.measured}
    passed = {trial.method: trial.why for trial in tuned.trials if not trial.measured}
    assert 1 < len(built) <= 1 + module.FINALISTS
    assert built | passed.keys() == BACKENDS.keys()
    assert all(why for why in passed.values())
    assert all(trial.measured.queries == 800 for trial in tuned.trials if trial.measured)


def test_a_budget_that_is_over_leaves_exact_search() -> None:
    tuned = tune(clustered(1000, 8), budget_s=1e-9)
    assert tuned.chosen.method == "exact"
    assert {trial.why for trial in tuned.trials if trial.method != "exact"} == {"no time left"}


@pytest.mark.parametrize("recall", [0.0, -1.0, 1.01, float("nan")])
def test_a_recall_that_is_none(recall: float) -> None:
    with pytest.raises(UserError, match=r"--target-recall .*: a recall is above 0 and at most 1"):
        tune(clustered(300, 4), target_recall=recall)
