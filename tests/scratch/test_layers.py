"""Layers and whole networks: their gradients against small steps, their answers and training against PyTorch's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sightline import api
from sightline.core.errors import UserError
from sightline.core.stopping import Interrupted
from sightline.models import create
from sightline.scratch import layers
from sightline.scratch.architectures import NETWORKS, make
from sightline.scratch.bundles import from_bundle
from sightline.scratch.fit import Epoch, fit
from sightline.scratch.functional import cross_entropy
from sightline.scratch.gradients import LIMIT, check_layer
from sightline.scratch.layers import (
    Add,
    BatchNorm,
    Convolution,
    Dropout,
    GlobalPool,
    Layer,
    Linear,
    Relu,
)
from sightline.scratch.network import PICTURES, Network
from sightline.scratch.optim import SGD, Adam, one_cycle, steps_down
from sightline.scratch.pictures import normalised
from sightline.scratch.proof import cases, prove_layers, prove_networks
from tests.weights import write_weights

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("name", cases())
def test_gradients_of_each_layer(name: str) -> None:
    layer, shapes = cases()[name]
    layer.initialise(np.random.default_rng(0))
    for parameter in layer.parameters.values():  # away from where they begin
        parameter += 0.3 * RANDOM.standard_normal(parameter.shape)
    inputs = [RANDOM.standard_normal(shape) for shape in shapes]
    before = [one.copy() for one in inputs]
    checked = check_layer(layer, *inputs)
    assert {one.name for one in checked} == {f"input {n}" for n in range(len(shapes))} | set(layer.parameters)
    for one in checked:
        assert one.error < LIMIT, one
    for one, kept in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(one, kept)


def test_every_kind_of_layer_is_checked() -> None:
    checked = {type(layer) for layer, _ in cases().values()}
    assert checked == {one for one in vars(layers).values() if isinstance(one, type) and one is not Layer}


def test_a_wrong_gradient_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Convolution(2, 3, 3)
    layer.initialise(np.random.default_rng(0))
    right = layer.backward
    monkeypatch.setattr(layer, "backward", lambda dy, **how: (1.001 * np.asarray(right(dy, **how)[0]),))
    checked = {one.name: one.error for one in check_layer(layer, RANDOM.standard_normal((2, 5, 5, 2)))}
    assert checked["input 0"] > 100 * LIMIT
    assert checked["weight"] < LIMIT


def test_gradients_of_whole_networks() -> None:
    for proof in prove_networks(("lenet", "resnet20", "inception_small")):
        assert proof.holds, proof.worst
    assert {proof.name: proof.holds for proof in prove_layers(1)} == dict.fromkeys(cases(), True)


def twin(name: str, seed: int = 0, **how: Any) -> tuple[torch.nn.Module, Network]:
    """One network of PyTorch's and one of ours with its weights; its batch norms have seen pictures."""
    torch.manual_seed(seed)
    size = how.pop("size", 32)
    theirs = create(name, num_classes=5, **how)
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    ours = make(name, classes=5, size=size, small=how.get("stem") == "small", paper=how.get("style") == "paper")
    ours.load({key: value.numpy().copy() for key, value in theirs.state_dict().items() if not key.startswith("aux")})
    return theirs, ours


@pytest.mark.parametrize(
    ("name", "size", "how"),
    [("resnet20", 32, {}), ("plain20", 32, {}), ("resnet20:shortcut=C", 32, {}), ("resnet18", 64, {}),
     ("resnet50", 64, {}), ("resnet50", 64, {"style": "paper"}), ("googlenet", 64, {}),
     ("googlenet", 64, {"style": "paper"}), ("googlenet_small", 32, {"stem": "small"}), ("googlenet_naive", 32, {}),
     ("mobilenet_v1", 64, {}), ("mobilenet_v2", 64, {"style": "paper"}),
     ("mobilenet_v2:width=0.5", 32, {"stem": "small"}),
     ("alexnet", 32, {"stem": "small"}), ("vgg11_bn", 32, {"stem": "small"})],
)  # fmt: skip
def test_networks_answer_as_pytorch_s(name: str, size: int, how: dict[str, Any]) -> None:
    theirs, ours = twin(name, size=size, **how)
    pictures = RANDOM.standard_normal((2, size, size, 3)).astype(np.float32)
    with torch.inference_mode():
        expected = theirs.eval()(torch.tensor(pictures.transpose(0, 3, 1, 2))).numpy()
    found = ours.forward(pictures)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(("name", "steps", "how"), [("resnet20", 50, {}), ("googlenet_small", 12, {"aux": False})])
def test_it_learns_as_pytorch_does(name: str, steps: int, how: dict[str, Any]) -> None:
    """The same weights, pictures and steps: the same losses, step by step."""
    theirs, ours = twin(name, stem="small", **how)
    ours.to(np.float64)
    theirs.double().train()
    for module in theirs.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for node in ours.nodes.values():
        if isinstance(node.layer, Dropout):
            node.layer.rate = 0.0
    pictures, labels = RANDOM.standard_normal((8, 16, 16, 3)), RANDOM.integers(0, 5, 8)
    stepper = torch.optim.SGD(theirs.parameters(), 0.02, momentum=0.9, weight_decay=1e-3, nesterov=True)
    optimizer = SGD(0.9, nesterov=True, weight_decay=1e-3)
    given, right = torch.tensor(pictures.transpose(0, 3, 1, 2)), torch.tensor(labels)
    for step in range(steps):
        loss = torch.nn.functional.cross_entropy(theirs(given), right)
        stepper.zero_grad()
        loss.backward()
        stepper.step()
        own, gradient = cross_entropy(ours.forward(pictures, training=True), labels)
        ours.backward(gradient)
        optimizer.step(ours.parameters, ours.gradients, 0.02)
        assert own == pytest.approx(loss.item(), rel=1e-6, abs=1e-9), step


@pytest.mark.parametrize(
    ("own", "theirs"),
    [(SGD(), lambda p: torch.optim.SGD(p, 0.1)), (SGD(0.9), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
     (SGD(0.8, nesterov=True, weight_decay=0.1),
      lambda p: torch.optim.SGD(p, 0.1, momentum=0.8, nesterov=True, weight_decay=0.1)),
     (Adam(), lambda p: torch.optim.Adam(p, 0.1)),
     (Adam((0.8, 0.9), weight_decay=0.1), lambda p: torch.optim.AdamW(p, 0.1, (0.8, 0.9), weight_decay=0.1))],
)  # fmt: skip
def test_optimizers_are_pytorch_s(own: Any, theirs: Callable[..., Any]) -> None:
    parameter, twin_of_it = RANDOM.standard_normal((3, 4)), None
    twin_of_it = torch.nn.Parameter(torch.tensor(parameter))
    stepper = theirs([twin_of_it])
    for _ in range(10):
        gradient = RANDOM.standard_normal((3, 4))
        twin_of_it.grad = torch.tensor(gradient)
        stepper.step()
        own.step({"w": parameter}, {"w": gradient}, 0.1)
        np.testing.assert_allclose(parameter, twin_of_it.detach().numpy(), atol=1e-12)


def test_schedules() -> None:
    stepper = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        stepper, 0.5, total_steps=40, final_div_factor=400, cycle_momentum=False
    )
    own = one_cycle(0.5, 40)
    for step in range(40):
        assert own(step) == pytest.approx(cycle.get_last_lr()[0], rel=1e-9)
        stepper.step()
        cycle.step()
    down = steps_down(0.1, (2, 4))
    assert [down(step) for step in range(5)] == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])


def test_eight_pictures_are_learnt_by_heart() -> None:
    pictures, labels = RANDOM.standard_normal((8, 28, 28, 1)).astype(np.float32), np.arange(8) % 4
    network = make("lenet", classes=4, channels=1, size=28)
    network.initialise(0)
    history = fit(network, pictures, labels, epochs=60, optimizer=Adam(), schedule=lambda step: 1e-3)
    assert history[-1].loss < 0.01
    assert history[-1].accuracy == 1
    np.testing.assert_array_equal(network.predict(pictures, batch_size=3).argmax(1), labels)


def trained(epochs: int, file: Path | None, stop: int | None = None) -> tuple[dict[str, np.ndarray], list[Epoch]]:
    """What a small network with batch norm and dropout has learnt, asked to stop after `stop` steps of 4 an epoch."""
    network = Network()
    network.add("conv", Convolution(1, 4, 3))
    network.add("norm", BatchNorm(4))
    network.add("relu", Relu())
    network.add("dropout", Dropout(0.5))
    network.add("pool", GlobalPool())
    network.add("fc", Linear(4, 3))
    network.initialise(1)
    random = np.random.default_rng(5)
    pictures, labels = random.standard_normal((50, 8, 8, 1)).astype(np.float32), random.integers(0, 3, 50)
    steps = iter(range(1, 1000))
    history = fit(
        network, pictures, labels, epochs=epochs, optimizer=Adam(weight_decay=0.01), schedule=one_cycle(0.01, 4 * 4),
        batch_size=16, checkpoint=file, stop=lambda: next(steps) == stop,
    )  # fmt: skip
    return network.state(), history


@pytest.mark.parametrize("stop", [1, 3, 4, 10, 15])
def test_what_goes_on_ends_as_what_was_never_interrupted(stop: int, tmp_path: Path) -> None:
    whole, history = trained(4, None)
    with pytest.raises(Interrupted):
        trained(4, tmp_path / "c.safetensors", stop=stop)
    assert [file.name for file in tmp_path.iterdir()] == ["c.safetensors"]
    again, later = trained(4, tmp_path / "c.safetensors")
    assert later == history
    assert len(history) == 4
    for name, value in whole.items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)


def test_a_checkpoint_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "c.safetensors").write_bytes(b"no checkpoint")
    with pytest.raises(UserError, match="is no checkpoint of such a training: remove it"):
        trained(4, tmp_path / "c.safetensors")


def test_initialise_forgets_all_that_was_learnt() -> None:
    for name in ("lenet", "resnet20"):
        network = make(name, classes=3, channels=3, size=32)
        network.initialise(0)
        fresh = {key: value.copy() for key, value in network.state().items()}
        for node in network.nodes.values():
            for held in (node.layer.parameters, node.layer.kept):
                for value in held.values():
                    value[...] = np.nan
        network.initialise(0)
        for key, value in network.state().items():
            np.testing.assert_array_equal(value, fresh[key], err_msg=key)


def test_where_training_diverges_is_said() -> None:
    network = make("lenet", classes=3, channels=1, size=28)
    network.initialise(0)
    pictures, labels = RANDOM.standard_normal((6, 28, 28, 1)).astype(np.float32), np.array([0, 1, 2, 0, 1, 2])
    how: dict[str, Any] = {"epochs": 9, "optimizer": SGD(), "batch_size": 2}
    with (
        np.errstate(all="ignore"),
        pytest.raises(UserError, match=r"diverged at epoch \d, step \d+, first in \w+: give a"),
    ):
        fit(network, pictures, labels, schedule=lambda step: 1e6, **how)
    network.initialise(0)
    network.parameters["conv2.weight"][0, 0, 0, 0] = np.inf
    with np.errstate(all="ignore"), pytest.raises(UserError, match="epoch 1, step 1, first in conv2"):
        fit(network, pictures, labels, schedule=lambda step: 0.1, **how)
    pictures[4, 3, 3] = np.nan
    network.initialise(0)
    with np.errstate(all="ignore"), pytest.raises(UserError, match="a picture has numbers that are none"):
        fit(network, pictures, labels, schedule=lambda step: 1e-3, **how)
    with pytest.raises(UserError, match="6 pictures and 5 labels"):
        fit(network, pictures, labels[:5], schedule=lambda step: 1e-3, **how)


def test_pictures_are_whole_numbers_of_a_byte() -> None:
    pictures = RANDOM.integers(0, 256, (2, 3, 3, 2))
    found = normalised(pictures, np.array([0.5, 0.2]), np.array([0.5, 2.0]))
    np.testing.assert_allclose(found, (pictures / 255 - [0.5, 0.2]) / [0.5, 2.0], atol=1e-6)
    assert found.dtype == np.float32
    for wrong, says in ((pictures - 1, "not -1 to"), (pictures * 2, "0 to 255, not"), (pictures / 255, "not float64")):
        wrong.flat[0] = 300 if says.startswith("0") else -1
        with pytest.raises(UserError, match=says):
            normalised(wrong, np.zeros(2), np.ones(2))


def test_weights_go_to_pytorch_and_back(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    network = make("resnet20", classes=5)
    network.initialise(3)
    network.save(tmp_path / "w.safetensors")
    theirs = create("resnet20", num_classes=5).eval()
    theirs.load_state_dict(load_file(tmp_path / "w.safetensors"), strict=False)
    pictures = RANDOM.standard_normal((2, 32, 32, 3)).astype(np.float32)
    with torch.inference_mode():
        expected = theirs(torch.tensor(pictures.transpose(0, 3, 1, 2))).numpy()
    np.testing.assert_allclose(network.forward(pictures), expected, atol=1e-4)


def test_what_is_not_this_network_s() -> None:
    network = make("lenet", classes=3, channels=1, size=28)
    state = network.state()
    with pytest.raises(UserError, match=r"they lack conv1\.weight"):
        network.load({name: value for name, value in state.items() if name != "conv1.weight"})
    with pytest.raises(UserError, match=r"they have se\.weight, which it has not"):
        network.load({**state, "se.weight": np.zeros(1)})
    with pytest.raises(UserError, match=r"fc2\.bias has shape \[4\], this network needs \[3\]"):
        network.load({**state, "fc2.bias": np.zeros(4)})
    with pytest.raises(UserError, match='no network "efficientnet_b0" in NumPy'):
        make("efficientnet_b0", classes=3)
    with pytest.raises(UserError, match='no option "activation" in NumPy: it has shortcut'):
        make("resnet20:activation=leaky_relu", classes=3)
    with pytest.raises(UserError, match=r"conv1: pictures \[1, 28, 28, 3\] and kernels \[16, 5, 5, 1\]"):
        network.forward(np.zeros((1, 28, 28, 3), np.float32))


def test_a_node_hears_only_what_is_there() -> None:
    network = Network()
    network.add("a", Relu())
    with pytest.raises(ValueError, match="hears \\['b'\\]"):
        network.add("c", Add(), "a", "b")
    with pytest.raises(ValueError, match="name is taken"):
        network.add("a", Relu())
    assert network.add("b", Add(), "a", PICTURES) == "b"
    np.testing.assert_array_equal(network.forward(np.array([[1.0, -1.0]])), [[2.0, -1.0]])


@pytest.mark.parametrize("arch", ["resnet20", "mobilenet_v2:width=0.25"])
def test_a_bundle_answers_in_numpy_as_it_does(arch: str, tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "w.pth", arch, {"arch": arch, "preprocess": {"resize": 32}}, settled=32)
    bundle = api.export(weights, out=tmp_path / "bundle")
    rebuilt = from_bundle(bundle.path)
    pictures = RANDOM.integers(0, 256, (3, 32, 32, 3), np.uint8)
    expected = bundle.run(pictures).logits
    np.testing.assert_allclose(rebuilt.logits(pictures), expected, atol=1e-4 * np.abs(expected).max())
    assert rebuilt.classes == bundle.classes


def test_a_bundle_that_cannot_be_rebuilt_says_why(tmp_path: Path) -> None:
    network = make("lenet", classes=2, size=28)
    network.save(tmp_path / "model.safetensors")
    card = {"arch": "lenet", "classes": ["a", "b"], "stem": "small", "style": "paper", "preprocess": {"size": 28}}
    for change, says in (
        ({"int8": {}}, "is in 8-bit integers: name the bundle it was made of"),
        ({"preprocess": None}, "bundle.json does not say its preprocess"),
        ({"style": None}, "is of several networks, or of vectors"),
        ({"arch": "lenett"}, 'no network "lenett" in NumPy, did you mean "lenet"'),
        ({"arch": "resnet20"}, "the weights do not belong to this network: they lack bn1.weight"),
        ({"classes": ["a"]}, "fc2.weight has shape"),
    ):
        changed = {key: value for key, value in (card | change).items() if value is not None}
        (tmp_path / "bundle.json").write_text(json.dumps(changed))
        with pytest.raises(UserError, match=says):
            from_bundle(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match="no weights at"):
        from_bundle(tmp_path)


def test_every_name_can_be_made() -> None:
    for name in NETWORKS:
        if "vgg" not in name and name not in ("alexnet", "resnet1202"):  # large, and made above
            assert make(name, classes=2).parameters
