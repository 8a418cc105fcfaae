"""Metrics against independent formulations and by hand."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from sightline.evaluation.metrics import bins, calibration_error, mcnemar, measure, t_interval, wilson


@st.composite
def answered(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Logits float32 [N, C], labels [N] (classes may be absent, logits may tie) and class names."""
    count, num_classes = draw(st.integers(1, 40)), draw(st.integers(2, 8))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = random.normal(0, draw(st.sampled_from([0.1, 3.0, 200.0])), (count, num_classes)).astype(np.float32)
    if draw(st.booleans()):
        logits = logits.round()
    return logits, random.integers(0, num_classes, count), [f"class {i}" for i in range(num_classes)]


@given(answered())
def test_every_figure_is_finite_a_fraction_and_json(case: tuple[np.ndarray, np.ndarray, list[str]]) -> None:
    logits, labels, classes = case
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics = measure(logits, labels, classes)
    shares = [metrics.top1, metrics.top5, metrics.ece, *metrics.interval]
    shares += [value for score in metrics.per_class for value in (score.precision, score.recall, score.f1)]
    assert all(0 <= share <= 1 for share in shares)
    assert metrics.interval[0] <= metrics.top1 <= metrics.interval[1]
    assert metrics.top5 >= metrics.top1
    assert metrics.log_loss >= 0
    json.dumps(metrics.to_dict(), allow_nan=False)


@given(answered())
def test_against_independent_formulations(case: tuple[np.ndarray, np.ndarray, list[str]]) -> None:
    logits, labels, classes = case
    metrics = measure(logits, labels, classes)
    said = np.array([row.tolist().index(row.max()) for row in logits])
    assert metrics.top1 == pytest.approx(oracle.accuracy_score(labels, said))
    confusion = np.zeros((len(classes), len(classes)), int)
    for true, answer in zip(labels, said, strict=True):
        confusion[true, answer] += 1
    assert metrics.confusion == tuple(map(tuple, confusion.tolist()))
    for i, score in enumerate(metrics.per_class):
        hits, support, called = confusion[i, i], confusion[i].sum(), confusion[:, i].sum()
        assert score.support == support
        assert score.recall == pytest.approx(hits / support if support else 0)
        assert score.precision == pytest.approx(hits / called if called else 0)
        assert score.f1 == pytest.approx(2 * hits / (support + called) if support + called else 0)
    recalls = [score.recall for score in metrics.per_class if score.support]
    assert metrics.balanced_accuracy == pytest.approx(sum(recalls) / len(recalls))
    losses = [math.log(sum(math.exp(x - row[y]) for x in row)) for row, y in _tame(logits, labels)]
    if losses:
        assert metrics.log_loss == pytest.approx(np.mean(losses), abs=1e-6)


def _tame(logits: np.ndarray, labels: np.ndarray) -> list[tuple[list[float], int]]:
    """Rows where the plain formula for log loss does not overflow; empty when any does."""
    rows = [(row.astype(float).tolist(), int(y)) for row, y in zip(logits, labels, strict=True)]
    return rows if np.ptp(logits) < 500 else []


def test_log_loss_and_top5_as_scikit_learn_has_them() -> None:
    random = np.random.default_rng(1)
    logits, labels = random.normal(0, 2, (200, 10)).astype(np.float32), np.arange(200) % 10
    exponentials = np.exp(logits.astype(float))
    probabilities = exponentials / exponentials.sum(1, keepdims=True)
    metrics = measure(logits, labels, [str(i) for i in range(10)])
    assert metrics.log_loss == pytest.approx(oracle.log_loss(labels, probabilities))
    assert metrics.top5 == pytest.approx(oracle.top_k_accuracy_score(labels, probabilities, k=5))


def test_sure_and_wrong_stays_finite() -> None:
    metrics = measure(np.array([[1000.0, 0.0]], np.float32), np.array([1]), ["a", "b"])
    assert metrics.log_loss == 1000
    assert (metrics.top1, metrics.ece) == (0, 1)


def test_ties_go_to_the_first_class_in_top1_and_top5() -> None:
    metrics = measure(np.zeros((10, 10), np.float32), np.arange(10), [str(i) for i in range(10)])
    assert (metrics.top1, metrics.top5) == (0.1, 0.5)


def test_nothing_to_measure_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="no pictures"):
        measure(np.empty((0, 2), np.float32), np.empty(0, np.int64), ["a", "b"])


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_calibration_error_by_hand(pairs: list[tuple[float, bool]]) -> None:
    total = 0.0
    for number in range(15):
        chosen = [(c, r) for c, r in pairs if min(int(c * 15), 14) == number]
        total += abs(sum(c for c, _ in chosen) - sum(r for _, r in chosen))
    confidences, right = np.array([c for c, _ in pairs]), np.array([r for _, r in pairs])
    calibration = bins(confidences, right)
    assert calibration_error(calibration) == pytest.approx(total / len(pairs), abs=1e-12)
    assert sum(one.count for one in calibration) == len(pairs)
    assert all(one.count for one in calibration)


@given(count=st.integers(1, 10_000), share=st.floats(0, 1))
def test_wilson_by_its_formula(count: int, share: float) -> None:
    hits, z = round(share * count), 1.959963984540054
    p = hits / count
    middle = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    assert wilson(hits, count) == pytest.approx((middle - half, middle + half), abs=1e-9)


@given(only_a=st.integers(0, 60), only_b=st.integers(0, 60))
def test_mcnemar_by_counting_coin_flips(only_a: int, only_b: int) -> None:
    n = only_a + only_b
    tail = sum(math.comb(n, k) for k in range(min(only_a, only_b) + 1)) / 2**n
    assert mcnemar(only_a, only_b) == pytest.approx(min(1.0, 2 * tail))
    assert mcnemar(only_a, only_b) == mcnemar(only_b, only_a)


def test_the_mean_of_seeds() -> None:
    low, high = t_interval([0.90, 0.92, 0.94]) or (0, 0)
    assert ((low + high) / 2, (high - low) / 2) == pytest.approx((0.92, 4.302653 * 0.02 / math.sqrt(3)), abs=1e-6)
    assert t_interval([0.9]) is None
