"""What a training step keeps, counted without a step; the batch that fits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from sightline import api
from sightline.data.dataset import Dataset
from sightline.models import create
from sightline.models.blank import blank
from sightline.training import footprint
from sightline.training.footprint import Footprint, kept_bytes
from sightline.training.recipe import Recipe
from sightline.training.train import arguments_of

FLOAT = 4


def on_meta(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers).to("meta")


def test_what_is_kept_is_what_the_backward_pass_reads() -> None:
    """A convolution keeps its input, a ReLU its output (which the linear layer keeps again: once)."""
    network = on_meta(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16 * 16, 10))
    assert kept_bytes(network, 3, 16) == FLOAT * (3 + 8) * 16 * 16


def test_a_network_twice_as_deep_keeps_twice_as_much_and_weights_do_not_count() -> None:
    def deep(blocks: int) -> int:
        return kept_bytes(on_meta(*(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()) for _ in range(blocks))), 3, 8)

    assert deep(5) - deep(3) == deep(3) - deep(1) == 2 * FLOAT * 3 * 64


@pytest.mark.parametrize(("wanted", "batch"), [(128, 32), (32, 32), (16, 16)])
def test_the_batch_is_halved_until_it_takes_half_the_memory(wanted: int, batch: int) -> None:
    assert Footprint(fixed=1000, picture=100, memory=2 * (1000 + 32 * 100)).most(wanted) == batch


def test_a_network_too_large_for_the_machine_is_trained_by_twos() -> None:
    assert Footprint(fixed=10, picture=10, memory=1).most(128) == 2


@pytest.mark.parametrize(("arch", "size", "stem"), [("resnet20", 32, "small"), ("googlenet", 96, "imagenet")])
def test_what_is_counted_without_content_is_what_a_real_step_keeps(arch: str, size: int, stem: str) -> None:
    network = create(arch, num_classes=10, stem=stem).train()
    weights = {tensor.data_ptr() for tensor in [*network.parameters(), *network.buffers()]}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        _outputs = network(torch.rand(4, 3, size, size))
    real = sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in weights)
    with blank():
        network = create(arch, num_classes=10, stem=stem)
    assert 4 * kept_bytes(network, 3, size) == pytest.approx(real, rel=0.01)  # statistics of batch norms differ


def test_a_small_machine_gets_a_small_batch(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "memory_bytes", lambda: 60_000_000)
    arguments = arguments_of(digits, "resnet20", Recipe.of(epochs=1))
    roomy = Footprint.of("resnet20", classes=10, channels=3, size=16, stem="small", style="torchvision", device="cpu")
    batch = arguments["recipe"]["batch_size"]
    assert batch < 64
    assert roomy.of_batch(batch) <= 30_000_000 < roomy.of_batch(2 * batch)
    assert api._recipe(1, None, [], {"batch_size": 64})[0].fitted(1000, ("a",), roomy.most).batch_size == 64
