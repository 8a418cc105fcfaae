"""A step with shares of classes in place of labels: its loss, and what counts as right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sightline.core.progress import SILENT
from sightline.data.loaders import Loader
from sightline.training.checkpoint import State
from sightline.training.device import make_fabric
from sightline.training.loop import Tally, Training
from sightline.training.recipe import Recipe


def training(smoothing: float) -> Training:
    """A linear classifier of pictures of one pixel, three classes."""
    fabric = make_fabric("cpu", "32")
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3, 3))
    recipe = Recipe.of(epochs=1, label_smoothing=smoothing).fitted(100, ("a cat", "a dog", "a cow"))
    model, optimizer = fabric.setup(network, recipe.make_optimizer(network))
    no_pictures = Loader(None, np.arange(1), np.zeros(1), 1)  # type: ignore[arg-type]
    return Training(
        fabric=fabric,
        network=network,
        model=model,
        optimizer=optimizer,
        recipe=recipe,
        loader=no_pictures,
        validation=no_pictures,
        normalise=torch.nn.Identity(),
        checkpoints=Path(),
        progress=SILENT,
        report=lambda state: None,
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_shares_is_the_same_share_of_the_losses(smoothing: float) -> None:
    logits = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    one, other = torch.arange(8) % 3, (torch.arange(8) + 1) % 3
    own = torch.linspace(0, 1, 8)
    hot = torch.nn.functional.one_hot
    shares = own[:, None] * hot(one, 3) + (1 - own)[:, None] * hot(other, 3)
    loss = training(smoothing).loss
    each = [
        own[i] * loss(logits[i : i + 1], one[i : i + 1]) + (1 - own[i]) * loss(logits[i : i + 1], other[i : i + 1])
        for i in range(8)
    ]
    assert float(loss(logits, shares)) == pytest.approx(float(torch.stack(each).mean()), rel=1e-5)
    assert float(loss(logits, hot(one, 3).float())) == pytest.approx(float(loss(logits, one)), rel=1e-5)


def test_the_larger_share_counts_as_the_label() -> None:
    images = torch.rand(4, 3, 1, 1)
    shares = torch.tensor([[0.6, 0.4, 0], [0.1, 0.2, 0.7], [0, 1, 0], [0.3, 0.3, 0.4]])
    ours = training(0.1)
    loss, logits, labels = ours.step(images, shares, State(), 0.5)
    assert labels.tolist() == [0, 2, 1, 2]
    tally = Tally()
    tally.add(loss, logits, labels)
    right = (logits.argmax(1) == torch.tensor([0, 2, 1, 2])).sum()
    assert tally.totals() == {"loss": pytest.approx(float(loss.detach()) * 4), "hits": float(right), "seen": 4}
