"""The head fitted to kept embeddings: the optimum it claims to be, and how it chooses its penalty."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch.nn import functional

from sightline.data.balance import class_weights
from sightline.training import head as head_module
from sightline.training.head import Aim, Embedded, Space, fit_head, optimum

EVEN = Aim(np.ones(3))


def clouds(count: int, dims: int, classes: int = 3, seed: int = 0, spread: float = 2.0) -> Embedded:
    """Embeddings around a centre a class, in directions of very different size, off the origin; one is constant."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, dims))
    labels = random.integers(0, classes, count)
    x = (centres[labels] + spread * random.normal(size=(count, dims))) * np.geomspace(0.01, 10, dims) + 3
    x[:, 0] = 0.5
    return Embedded(x.astype(np.float32), labels)


@pytest.mark.parametrize(("count", "dims"), [(40, 60), (200, 12)])
def test_the_head_is_what_gradient_descent_converges_to(count: int, dims: int) -> None:
    train, judge = clouds(count, dims), clouds(50, dims, seed=1)
    head = fit_head(train, judge, EVEN)
    l2 = head.trials[head.best]["l2"]
    mean, scale = train.embeddings.mean(0, dtype=np.float64), train.embeddings.std(0, dtype=np.float64)
    scale[0] = 1.0
    x, y = torch.from_numpy((train.embeddings - mean) / scale), torch.from_numpy(train.labels)
    weight, bias = torch.zeros(3, dims, dtype=torch.float64, requires_grad=True), torch.zeros(3, dtype=torch.float64)
    bias.requires_grad_()
    descent = torch.optim.LBFGS(
        [weight, bias], max_iter=5_000, tolerance_grad=1e-9, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        descent.zero_grad()
        value = functional.cross_entropy(x @ weight.T + bias, y) + l2 / 2 * weight.square().sum()
        value.backward()
        return value

    descent.step(loss)
    assert weight.grad is not None
    assert weight.grad.abs().max() < 1e-8  # it has converged
    theirs = (x @ weight.T + bias).detach().numpy()
    ours = train.embeddings @ head.weight.T + head.bias
    np.testing.assert_allclose(ours - ours.mean(1, keepdims=True), theirs - theirs.mean(1, keepdims=True), atol=1e-4)


def test_a_weighted_head_is_scikit_learns() -> None:
    """Classes of very different size, each picture weighed by the inverse of how frequent its class is."""
    whole, judge = clouds(300, 12), clouds(50, 12, seed=1)
    kept = np.random.default_rng(0).random(300) < np.array([1, 0.15, 0.08])[whole.labels]
    train = Embedded(whole.embeddings[kept], whole.labels[kept])
    head = fit_head(train, judge, Aim(class_weights(train.labels, 3)))
    l2 = head.trials[head.best]["l2"]
    x, z = train.embeddings.astype(np.float64), judge.embeddings.astype(np.float64)
    scaler = StandardScaler().fit(x)
    theirs = LogisticRegression(C=1 / (l2 * len(x)), class_weight="balanced", tol=1e-9, max_iter=10_000)
    expected = theirs.fit(scaler.transform(x), train.labels).decision_function(scaler.transform(z))
    ours = judge.embeddings @ head.weight.T + head.bias
    np.testing.assert_allclose(
        ours - ours.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=1e-4
    )
    unweighted = fit_head(train, judge, EVEN)
    said = [(judge.embeddings @ one.weight.T + one.bias).argmax(1) for one in (head, unweighted)]
    assert (said[0] == 0).sum() < (said[1] == 0).sum()


def test_the_figure_aimed_at_chooses_the_penalty() -> None:
    train, judge = clouds(60, 40, spread=6.0), clouds(300, 40, seed=1, spread=6.0)
    for aim in (EVEN, Aim(np.ones(3), "balanced")):
        head = fit_head(train, judge, aim)
        scores = [(trial[f"validation_{aim.judge}"], -trial["validation_loss"]) for trial in head.trials]
        assert scores.index(max(scores)) == head.best


def test_the_penalty_is_the_one_that_validation_likes_best() -> None:
    train, judge = clouds(60, 40, spread=4.0), clouds(300, 40, seed=1, spread=4.0)
    head = fit_head(train, judge, EVEN)
    scores = [(trial["validation_top1"], -trial["validation_loss"]) for trial in head.trials]
    assert scores.index(max(scores)) == head.best
    right = (judge.embeddings @ head.weight.T + head.bias).argmax(1) == judge.labels
    assert right.mean() == pytest.approx(head.trials[head.best]["validation_top1"])
    assert [trial["l2"] for trial in head.trials] == sorted((trial["l2"] for trial in head.trials), reverse=True)


def test_without_validation_no_view_of_a_held_out_picture_is_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    train, none = clouds(33, 5), Embedded(np.zeros((0, 5), np.float32), np.zeros(0, np.int64))
    three = Embedded(np.tile(train.embeddings, (3, 1)), np.tile(train.labels, 3))
    seen, plain = [], head_module._path
    monkeypatch.setattr(
        head_module, "_path", lambda learnt, judge, *more: seen.append((learnt, judge)) or plain(learnt, judge, *more)
    )
    head = fit_head(three, none, EVEN, views=3)
    learnt, judge = ({row.tobytes() for row in part.embeddings} for part in seen[0])
    assert (len(learnt), len(judge)) == (27, 6)
    assert not learnt & judge
    assert all(trial["validation_top1"] is None and trial["held_out_top1"] >= 0 for trial in head.trials)


def test_without_validation_a_fifth_chooses_and_all_are_fitted() -> None:
    train = clouds(60, 8)
    head = fit_head(train, Embedded(train.embeddings[:0], train.labels[:0]), EVEN)
    space = Space.of(train.embeddings)
    x, y = space.coordinates(train.embeddings), torch.from_numpy(train.labels)
    start = torch.zeros(3, x.shape[1], dtype=x.dtype), torch.zeros(3, dtype=x.dtype)
    weight, bias, _ = optimum(x, y, head.trials[head.best]["l2"], *start, torch.ones(3, dtype=x.dtype))
    np.testing.assert_allclose(head.weight, space.back(weight, bias)[0].numpy(), atol=1e-4)


def test_one_picture_or_one_class_is_enough() -> None:
    one = clouds(1, 5)
    empty = Embedded(one.embeddings[:0], one.labels[:0])
    assert fit_head(one, empty, EVEN).weight.shape == (3, 5)
    assert np.isfinite(fit_head(one, one, EVEN).weight).all()
