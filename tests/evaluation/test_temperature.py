"""Temperature: the number it should be, and none where there is nothing to tell it by."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from sightline.evaluation.temperature import fit_temperature


def drawn(count: int, true: float, seed: int = 0, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn as if they had been divided by `true`."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (count, classes)).astype(np.float32)
    probabilities = softmax(logits.astype(float) / true, axis=1)
    return logits, np.array([random.choice(classes, p=p) for p in probabilities])


@pytest.mark.parametrize("true", [0.3, 2.0, 6.0])
def test_it_finds_the_temperature_that_labels_were_drawn_at(true: float) -> None:
    found = fit_temperature(*drawn(2000, true))
    assert found.value == found.fitted == pytest.approx(true, rel=0.1)
    assert found.low < found.fitted < found.high


def test_its_interval_holds_the_true_one_as_often_as_it_should() -> None:
    """In 200 draws 95 %; fewer than 176 or all would come by chance once in 10,000 times."""
    found = [fit_temperature(*drawn(150, 2.0, seed)) for seed in range(200)]
    assert 176 <= sum(one.low <= 2.0 <= one.high for one in found) < 200


def test_one_is_left_alone_as_often_as_it_should() -> None:
    found = [fit_temperature(*drawn(150, 1.0, seed)).value for seed in range(200)]
    assert 176 <= found.count(1.0) < 200


def test_no_other_temperature_has_less_log_loss() -> None:
    logits, labels = drawn(5000, 1.7)
    said = {t: log_softmax(logits.astype(float) / t, axis=1) for t in np.geomspace(1, 3, 200)}
    losses = {t: -log[np.arange(5000), labels].mean() for t, log in said.items()}
    assert fit_temperature(logits, labels).fitted == pytest.approx(min(losses, key=losses.__getitem__), rel=0.01)


def test_where_all_answers_are_right_confidence_is_that_of_one_more_drawn_at_random() -> None:
    """Two classes, always the same gap: (n + 1/2) / (n + 1) of n + 1 pictures are right."""
    labels = np.arange(40) % 2
    logits = np.where(np.arange(2) == labels[:, None], 1.0, -1.0).astype(np.float32)
    found = fit_temperature(logits, labels)
    assert softmax(logits[0] / found.value).max() == pytest.approx(40.5 / 41, abs=1e-4)


@pytest.mark.parametrize("count", [1, 2, 5, 19])
def test_few_pictures_change_nothing(count: int) -> None:
    assert fit_temperature(*drawn(count, 9.0)).value == 1
    assert fit_temperature(*drawn(100, 9.0)).value > 3


def test_a_few_right_answers_of_a_sure_network_leave_it_as_it_is() -> None:
    labels = np.arange(30) % 2
    logits = np.where(np.arange(2) == labels[:, None], 4.0, -4.0).astype(np.float32)
    assert fit_temperature(logits, labels).value == 1


def test_logits_that_say_nothing_are_left_alone() -> None:
    found = fit_temperature(np.zeros((50, 3), np.float32), np.arange(50) % 3)
    assert found.value == 1
    assert np.isfinite(found.high)


def test_huge_logits_stay_finite() -> None:
    logits, labels = drawn(300, 2.0)
    assert fit_temperature(logits * 1e4, labels).value == pytest.approx(50, rel=1e-3)  # the range ends there
