from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sightline.core.errors import UserError
from sightline.training.checkpoint import State, load_checkpoint, save_checkpoint
from sightline.training.recipe import Recipe


def stepped(optimizer_name: str, seed: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3))
    optimizer = Recipe(epochs=1, lr=0.1, optimizer=optimizer_name).make_optimizer(model)  # type: ignore[arg-type]
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(4, 1, 8, 8)).square().sum().backward()
        optimizer.step()
    return model, optimizer


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_network_optimizer_and_state_come_back_equal(tmp_path: Path, name: str) -> None:
    model, optimizer = stepped(name, seed=0)
    state = State(epoch=3, step=7, seconds=1.25, totals={"loss": 0.1, "hits": 2.0, "seen": 9}, history=[{"a": 0.1}])
    save_checkpoint(tmp_path / "c.safetensors", model, optimizer, state)
    other, its_optimizer = stepped(name, seed=1)
    assert load_checkpoint(tmp_path / "c.safetensors", other, its_optimizer) == state
    for key, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[key], value), key
    ours, theirs = optimizer.state_dict()["state"], its_optimizer.state_dict()["state"]
    assert len(ours) == 4
    for index, values in ours.items():
        for key, value in values.items():
            assert value is None or torch.equal(torch.as_tensor(theirs[index][key]), torch.as_tensor(value)), key


@pytest.mark.parametrize("damage", [lambda data: data[:-40], lambda data: b"", lambda data: b"\xff" * 64 + data])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage) -> None:
    model, optimizer = stepped("sgd", seed=0)
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, model, optimizer, State())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match="damaged checkpoint"):
        load_checkpoint(path, model, optimizer)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    model, optimizer = stepped("sgd", seed=0)
    save_checkpoint(tmp_path / "c.safetensors", model, optimizer, State())
    with pytest.raises(UserError, match="damaged checkpoint"):
        load_checkpoint(tmp_path / "c.safetensors", torch.nn.Linear(2, 2), None)


def test_momentum_comes_back_in_its_parameters_layout(tmp_path: Path) -> None:
    model, optimizer = stepped("sgd", seed=0)
    model.to(memory_format=torch.channels_last)
    save_checkpoint(tmp_path / "c.safetensors", model, optimizer, State())
    load_checkpoint(tmp_path / "c.safetensors", model, optimizer)
    for parameter, values in optimizer.state.items():
        assert values["momentum_buffer"].stride() == parameter.stride()


def test_an_old_checkpoint_stays_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, optimizer = stepped("sgd", seed=0)
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, model, optimizer, State(epoch=1))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(path, model, optimizer, State(epoch=2))
    monkeypatch.undo()
    assert load_checkpoint(path, model, optimizer).epoch == 1
    assert [file.name for file in tmp_path.iterdir()] == ["c.safetensors"]
