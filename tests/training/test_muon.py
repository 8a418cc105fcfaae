from __future__ import annotations

import pytest
import torch

from sightline.core.errors import UserError
from sightline.data.dataset import Dataset
from sightline.training.inputs import grown, scaled
from sightline.training.muon import STEPS, Muon, orthogonalised
from sightline.training.recipe import Recipe
from sightline.training.train import arguments_of


@pytest.mark.parametrize("shape", [(16, 144), (144, 16), (12, 12), (1, 9), (9, 1)])
def test_directions_stay_and_their_lengths_become_about_one(shape: tuple[int, int]) -> None:
    """As Jordan et al. tuned the polynomial: singular values from 0.01 of the length to all of it end near 1."""
    torch.manual_seed(0)
    u, _, vh = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    values = torch.logspace(0, -1.5, len(vh))
    inner = u.T @ orthogonalised(u @ torch.diag(values) @ vh) @ vh.T
    assert torch.dist(inner, inner.diag().diag()) < 1e-4
    assert inner.diag().min() > 0.6
    assert inner.diag().max() < 1.3
    assert STEPS == 5


def test_a_gradient_of_any_length_makes_the_same_step_and_a_bank_keeps_its_length() -> None:
    torch.manual_seed(0)
    first, gradient = torch.randn(8, 3, 3, 3), torch.randn(8, 3, 3, 3)
    ends = []
    for scale in (1e-3, 1.0, 1e3):
        bank = torch.nn.Parameter(first.clone())
        optimizer = Muon([{"params": [bank], "filters": True}], lr=0.1, momentum=0.9)
        for _ in range(20):
            bank.grad = gradient * scale
            optimizer.step()
        ends.append(bank.detach())
        # every filter of length 1 in the mean before the step, which is 0.1 in each of 8 directions
        assert bank.norm().item() == pytest.approx(8**0.5, abs=0.1 * 8**0.5 * 1.3)
        assert torch.nn.functional.cosine_similarity(bank.flatten(), -gradient.flatten(), dim=0) > 0.5
    assert torch.allclose(ends[0], ends[1], atol=1e-3)
    assert torch.allclose(ends[2], ends[1], atol=1e-3)


@pytest.mark.parametrize("shape", [(8, 3, 3, 3), (64, 1, 3, 3), (64, 8, 1, 1)])
def test_banks_of_every_shape_turn_as_far_in_a_step(shape: tuple[int, ...]) -> None:
    """A depthwise bank or a widening one has fewer directions than filters: it takes longer steps in each."""
    torch.manual_seed(0)
    bank = torch.nn.Parameter(torch.randn(shape))
    bank.grad = torch.randn(shape)
    optimizer = Muon([{"params": [bank], "filters": True}], lr=0.1, momentum=0.9)
    before = bank.detach() * (shape[0] ** 0.5 / bank.norm().item())
    optimizer.step()
    assert (torch.dist(bank.detach(), before) / before.norm()).item() == pytest.approx(0.1, rel=0.3)


def test_filters_lie_in_memory_as_they_like() -> None:
    torch.manual_seed(0)
    first, gradient = torch.randn(8, 3, 3, 3), torch.randn(8, 3, 3, 3)
    ends = []
    for layout in (torch.contiguous_format, torch.channels_last):
        bank = torch.nn.Parameter(first.clone(memory_format=layout))
        bank.grad = gradient.clone(memory_format=layout)
        Muon([{"params": [bank], "filters": True}], lr=0.1, momentum=0.9).step()
        ends.append(bank.detach())
    assert torch.allclose(*ends, atol=1e-6)


def test_all_but_filters_go_as_by_sgd_and_parameters_without_gradient_stay() -> None:
    torch.manual_seed(0)
    recipe = {"epochs": 1, "lr": 0.1, "momentum": 0.8}
    networks = []
    for name in ("sgd", "muon"):
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 2, bias=False))
        network[2].requires_grad_(False)
        optimizer = Recipe.of(**recipe, optimizer=name).make_optimizer(network)
        for seed in range(5):
            optimizer.zero_grad()
            torch.manual_seed(seed)
            network(torch.randn(8, 4)).square().sum().backward()
            optimizer.step()
        networks.append(network)
    for one, other in zip(*(network.parameters() for network in networks), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_the_recipe_puts_convolutions_before_a_norm_alone_among_the_filters() -> None:
    nn = torch.nn
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Flatten(), nn.Linear(4, 2)
    )
    optimizer = Recipe(epochs=1, lr=0.1, optimizer="muon").make_optimizer(network)
    (filters,) = [group for group in optimizer.param_groups if group["filters"]]
    assert [parameter is network[0].weight for parameter in filters["params"]] == [True]
    rest = [id(parameter) for group in optimizer.param_groups if not group["filters"] for parameter in group["params"]]
    assert sorted(rest) == sorted(id(p) for p in network.parameters() if p is not network[0].weight)


def test_pictures_grow_from_half_the_side_over_three_quarters_to_the_whole() -> None:
    assert [grown(32, 0.6, done) for done in (0, 0.29, 0.3, 0.59, 0.6, 1)] == [16, 16, 24, 24, 32, 32]
    assert {grown(32, 0.0, done) for done in (0, 1)} == {32}
    assert grown(1, 0.5, 0) == 1
    assert scaled(torch.ones(2, 3, 32, 32), 24).shape == (2, 3, 24, 24)
    checkered = (torch.arange(32)[:, None] + torch.arange(32)) % 2
    inner = scaled(checkered.float().expand(1, 1, 32, 32), 16)[..., 2:-2, 2:-2]
    assert torch.allclose(inner, torch.tensor(0.5), atol=1e-6)  # and not one square in four


def test_pictures_grow_where_the_network_takes_the_smaller_ones(digits: Dataset) -> None:
    recipe = Recipe(epochs=1, growing=0.5)
    assert arguments_of(digits, "resnet20", recipe)["recipe"]["growing"] == 0.5
    assert arguments_of(digits, "vgg11", recipe, size=32)["recipe"]["growing"] == 0  # it takes 32 pixels or more
    assert arguments_of(digits, "vgg11", recipe, size=64)["recipe"]["growing"] == 0.5
    with pytest.raises(UserError, match="31 pixels are too small"):
        arguments_of(digits, "vgg11", recipe, size=31)
